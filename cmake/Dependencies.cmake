# The libraries Easel stands on. All but LibTorch are Debian/Ubuntu packages (scripts/setup installs
# them).
include(FindLibTorch)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)  # SHA-256 of checkpoints
find_package(CURL 7.87 REQUIRED)  # models from a hub
find_package(PkgConfig REQUIRED)
pkg_check_modules(utf8proc REQUIRED IMPORTED_TARGET libutf8proc)
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
# Highway: vectors for the CPU kernels, chosen when the program runs. Instruction sets between the
# compiler's baseline and AVX2 would only lengthen the build, and sizeless vectors (SVE) cannot be kept
# in the arrays that the kernels use.
find_path(EASEL_HWY_INCLUDE_DIR hwy/highway.h REQUIRED)
find_library(EASEL_HWY_LIBRARY hwy REQUIRED)
set(EASEL_HWY_DISABLED_TARGETS
    "(HWY_SSSE3|HWY_SSE4|HWY_SVE|HWY_SVE2|HWY_SVE_256|HWY_SVE2_128)")
find_package(OpenMP REQUIRED COMPONENTS CXX)  # LibTorch's own threads
find_path(EASEL_STB_INCLUDE_DIR stb/stb_image.h REQUIRED)

# yaml-cpp 0.7 exports "yaml-cpp", 0.8 "yaml-cpp::yaml-cpp".
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp INTERFACE IMPORTED)
  target_link_libraries(yaml-cpp::yaml-cpp INTERFACE yaml-cpp)
endif()
