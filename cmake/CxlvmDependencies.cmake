# SPDX-License-Identifier: Apache-2.0
# Every dependency is a Debian 12 package. A missing one stops the build with its package name.

function(cxlvm_require found what package)
    if(NOT ${found})
        message(FATAL_ERROR "cxlvm needs ${what}, which was not found. On Debian 12:\n"
                            "    apt-get install ${package}\n"
                            "(tests/run.sh and vmm/demo.sh install everything that is missing.)")
    endif()
endfunction()

# Archives instead of shared objects, before anything looks for a library.
if(CXLVM_STATIC)
    set(CMAKE_FIND_LIBRARY_SUFFIXES .a)
endif()

find_package(Threads REQUIRED)
find_package(PkgConfig QUIET)
cxlvm_require(PKG_CONFIG_FOUND "pkg-config" pkg-config)
find_package(fmt QUIET)
cxlvm_require(fmt_FOUND "libfmt" libfmt-dev)
find_package(Boost 1.74 QUIET)
cxlvm_require(Boost_FOUND "the Boost.Intrusive headers" libboost-dev)
find_package(nlohmann_json QUIET)
cxlvm_require(nlohmann_json_FOUND "nlohmann-json" nlohmann-json3-dev)
find_package(CLI11 QUIET)
cxlvm_require(CLI11_FOUND "CLI11" libcli11-dev)
pkg_check_modules(URING QUIET IMPORTED_TARGET liburing>=2.3)
cxlvm_require(URING_FOUND "liburing 2.3" liburing-dev)

# Kernel payload formats: zlib, xz (also lzma), lz4, zstd.
foreach(spec "ZLIB;zlib;zlib1g-dev" "LZMA;liblzma;liblzma-dev" "LZ4;liblz4;liblz4-dev"
             "ZSTD;libzstd;libzstd-dev")
    list(GET spec 0 prefix)
    list(GET spec 1 module)
    list(GET spec 2 package)
    pkg_check_modules(${prefix} QUIET IMPORTED_TARGET ${module})
    cxlvm_require(${prefix}_FOUND "${module}" ${package})
endforeach()

include(CheckIncludeFileCXX)
check_include_file_cxx(linux/kvm.h CXLVM_HAVE_KVM_H)
cxlvm_require(CXLVM_HAVE_KVM_H "the kernel's KVM headers" linux-libc-dev)

# Debian ships libfmt as a shared library only: a static program takes the header-only form.
if(CXLVM_STATIC)
    set(CXLVM_FMT fmt::fmt-header-only)
else()
    set(CXLVM_FMT fmt::fmt)
endif()
set(CXLVM_PUBLIC_DEPENDENCIES Threads::Threads ${CXLVM_FMT} Boost::boost)
set(CXLVM_PRIVATE_DEPENDENCIES PkgConfig::URING PkgConfig::ZLIB PkgConfig::LZMA PkgConfig::LZ4
                               PkgConfig::ZSTD
                               $<BUILD_INTERFACE:nlohmann_json::nlohmann_json>)
