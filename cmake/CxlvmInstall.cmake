# SPDX-License-Identifier: Apache-2.0
# cmake --install: library, headers, CLI, man page, and what find_package and pkg-config read. All of
# it may be moved: every path in it is relative to the file that it stands in.
include(CMakePackageConfigHelpers)

option(CXLVM_INSTALL "Add install rules" ${PROJECT_IS_TOP_LEVEL})
if(NOT CXLVM_INSTALL)
    return()
endif()

set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/cxlvm")
install(TARGETS cxlvm EXPORT cxlvmTargets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
        FILE_SET HEADERS DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/cxlvm")
install(TARGETS cxlvm_cli RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(FILES "${PROJECT_SOURCE_DIR}/vmm/cxlvm.1" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
install(EXPORT cxlvmTargets NAMESPACE cxlvm:: DESTINATION "${package_dir}")

# A static library's users link what it is made of; a shared one brings it along.
get_target_property(library_type cxlvm TYPE)
if(library_type STREQUAL "STATIC_LIBRARY")
    set(CXLVM_NEEDS_PRIVATE ON)
    set(CXLVM_PC_REQUIRES "liburing >= 2.3, zlib, liblzma, liblz4, libzstd")
else()
    set(CXLVM_NEEDS_PRIVATE OFF)
    set(CXLVM_PC_REQUIRES "")
endif()
configure_package_config_file(cmake/cxlvmConfig.cmake.in
                              "${PROJECT_BINARY_DIR}/cmake/cxlvmConfig.cmake"
                              INSTALL_DESTINATION "${package_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/cmake/cxlvmConfigVersion.cmake"
                                 COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/cmake/cxlvmConfig.cmake"
              "${PROJECT_BINARY_DIR}/cmake/cxlvmConfigVersion.cmake"
        DESTINATION "${package_dir}")

if(CXLVM_STATIC)
    set(CXLVM_PC_CFLAGS "-pthread -DFMT_HEADER_ONLY=1")
else()
    set(CXLVM_PC_CFLAGS "-pthread")
    string(PREPEND CXLVM_PC_REQUIRES "fmt, ")
    string(REGEX REPLACE ", $" "" CXLVM_PC_REQUIRES "${CXLVM_PC_REQUIRES}")
endif()
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX
           BASE_DIRECTORY "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig"
           OUTPUT_VARIABLE CXLVM_PC_PREFIX)
configure_file(cmake/cxlvm.pc.in "${PROJECT_BINARY_DIR}/cmake/cxlvm.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/cmake/cxlvm.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
