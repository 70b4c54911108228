# SPDX-License-Identifier: Apache-2.0
# Options, warnings and sanitizers: one interface target that every target of ours links privately.

option(CXLVM_TESTS "Build the tests" ${PROJECT_IS_TOP_LEVEL})
option(CXLVM_BENCH "Build the benches" ${PROJECT_IS_TOP_LEVEL})
option(CXLVM_FUZZ "Build the libFuzzer targets (clang only)" OFF)
option(CXLVM_STATIC "Link a static cxlvm that needs nothing but the kernel" OFF)
option(CXLVM_WERROR "Treat warnings as errors" OFF)
option(CXLVM_PRECOMPILE "Precompile the standard's and fmt's headers: builds faster, hides missing includes" OFF)
set(CXLVM_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them: address,undefined or thread")

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

if(NOT CMAKE_SYSTEM_NAME STREQUAL "Linux" OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
    message(FATAL_ERROR "cxlvm runs on x86-64 Linux only (this is ${CMAKE_SYSTEM_NAME} on "
                        "${CMAKE_SYSTEM_PROCESSOR})")
endif()

add_library(cxlvm_build_flags INTERFACE)
target_compile_options(cxlvm_build_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:
    -Wall -Wextra -Wpedantic -Wconversion -Wsign-conversion -Wshadow -Wold-style-cast -Wcast-align
    -Wcast-qual -Woverloaded-virtual -Wnon-virtual-dtor -Wformat=2 -Wundef
    $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
    $<$<BOOL:${CXLVM_WERROR}>:-Werror>
    -ffunction-sections -fdata-sections>)
target_link_options(cxlvm_build_flags INTERFACE -Wl,--gc-sections)

# What CXLVM_PRECOMPILE precompiles. Off by default, and in the debug preset above all: that one says
# when a file does not include what it uses.
set(CXLVM_COMMON_HEADERS <algorithm> <array> <chrono> <cstdint> <filesystem> <functional> <memory>
                         <mutex> <optional> <span> <string> <string_view> <system_error> <vector>
                         <fmt/format.h>)

if(CXLVM_SANITIZE)
    set(sanitize_flags -fsanitize=${CXLVM_SANITIZE} -fno-omit-frame-pointer
                       -fno-sanitize-recover=all)
    # Every target, tests included: a library built without it hides what its callers do to it.
    add_compile_options("$<$<COMPILE_LANGUAGE:CXX,C>:${sanitize_flags}>")
    add_link_options(${sanitize_flags})
endif()
if(CXLVM_STATIC)
    set(BUILD_SHARED_LIBS OFF)
    add_link_options(-static)
    # The start-up file of static programs (crtbeginT.o) registers the unwind tables, and what is
    # registered the first exception sorts: 14 million instructions. It does so through two weak
    # names, which --wrap leaves without a definition; then the unwinder takes the sorted index that
    # the linker makes, as in every other program.
    add_link_options(-Wl,--eh-frame-hdr
                     -Wl,--wrap=__register_frame_info,--wrap=__deregister_frame_info)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
endif()
