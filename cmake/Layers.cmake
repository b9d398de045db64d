# One object library per layer, all with one precompiled header, and what joins them.

add_library(easel_options INTERFACE)
target_compile_features(easel_options INTERFACE cxx_std_20)
target_include_directories(easel_options INTERFACE
  "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
  "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

add_library(easel_warnings INTERFACE)
target_compile_options(easel_warnings INTERFACE -Wall -Wextra -Wshadow=local -Wnon-virtual-dtor
  -Woverloaded-virtual -Wimplicit-fallthrough -Wvla
  $<$<BOOL:${EASEL_WERROR}>:-Werror>)
if(EASEL_SANITIZE)
  target_compile_options(easel_warnings INTERFACE -fsanitize=${EASEL_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(easel_warnings INTERFACE -fsanitize=${EASEL_SANITIZE})
endif()
if(EASEL_FUZZ)
  # What the fuzzer is to see into; its own main() comes with each target.
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "EASEL_FUZZ needs clang: -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_C_COMPILER=clang")
  endif()
  target_compile_options(easel_warnings INTERFACE
    -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  target_link_options(easel_warnings INTERFACE -fsanitize=address,undefined)
endif()
if(EASEL_CCACHE)
  target_compile_options(easel_warnings INTERFACE $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
endif()

# What every layer may use. Headers are private to the .cpp files except LibTorch's and fmt's.
set(EASEL_PUBLIC_LIBRARIES "${TORCH_LIBRARIES}" fmt::fmt-header-only Threads::Threads)
set(EASEL_PRIVATE_LIBRARIES ZLIB::ZLIB yaml-cpp::yaml-cpp nlohmann_json::nlohmann_json
    PkgConfig::utf8proc PkgConfig::sentencepiece OpenSSL::Crypto CURL::libcurl
    "${EASEL_HWY_LIBRARY}" ${OpenMP_CXX_LIBRARIES})

add_library(easel_pch OBJECT "${CMAKE_CURRENT_SOURCE_DIR}/src/pch.cpp")
target_precompile_headers(easel_pch PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/src/pch.h")
target_link_libraries(easel_pch PUBLIC easel_options ${EASEL_PUBLIC_LIBRARIES}
  PRIVATE easel_warnings ${EASEL_PRIVATE_LIBRARIES})

# easel_layer(<name> USES <lower layers>): the object library easel_<name> of src/<name>/*.cpp.
function(easel_layer name)
  cmake_parse_arguments(ARG "" "" "USES" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/*.cpp"
    "${CMAKE_CURRENT_SOURCE_DIR}/src/${name}/cpu/*.cpp")
  add_library(easel_${name} OBJECT ${sources})
  target_link_libraries(easel_${name} PUBLIC easel_options ${EASEL_PUBLIC_LIBRARIES}
    PRIVATE easel_warnings ${EASEL_PRIVATE_LIBRARIES})
  target_include_directories(easel_${name} SYSTEM PRIVATE "${EASEL_STB_INCLUDE_DIR}")
  target_precompile_headers(easel_${name} REUSE_FROM easel_pch)
  set(closure ${name})
  foreach(used IN LISTS ARG_USES)
    get_property(below GLOBAL PROPERTY EASEL_CLOSURE_${used})
    list(APPEND closure ${below})
  endforeach()
  list(REMOVE_DUPLICATES closure)
  set_property(GLOBAL PROPERTY EASEL_CLOSURE_${name} "${closure}")
  set_property(GLOBAL APPEND PROPERTY EASEL_LAYERS ${name})
endfunction()

# The kernels (src/ops/cpu/*_kernel.cpp) are the one place where the compiler's effort pays, and they
# are compiled once for every instruction set; they include no LibTorch. Only parallel.cpp needs
# OpenMP at compile time, where at::parallel_for is expanded.
function(easel_cpu_kernels layer)
  set(folder "${CMAKE_CURRENT_SOURCE_DIR}/src/${layer}/cpu")
  file(GLOB kernels CONFIGURE_DEPENDS "${folder}/*_kernel.cpp")
  set_source_files_properties(${kernels} PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    INCLUDE_DIRECTORIES "${CMAKE_CURRENT_SOURCE_DIR}/src"
    COMPILE_DEFINITIONS "HWY_DISABLED_TARGETS=${EASEL_HWY_DISABLED_TARGETS}"
    COMPILE_OPTIONS "-O3")
  target_include_directories(easel_${layer} SYSTEM PRIVATE "${EASEL_HWY_INCLUDE_DIR}")
  set_source_files_properties("${folder}/parallel.cpp" PROPERTIES SKIP_PRECOMPILE_HEADERS ON
    COMPILE_OPTIONS "${OpenMP_CXX_FLAGS}")
endfunction()

# easel_link_layers(<target> <layer>...): links these layers and all below them, as objects.
function(easel_link_layers target)
  set(closure)
  foreach(layer IN LISTS ARGN)
    get_property(below GLOBAL PROPERTY EASEL_CLOSURE_${layer})
    list(APPEND closure ${below})
  endforeach()
  list(REMOVE_DUPLICATES closure)
  foreach(layer IN LISTS closure)
    target_link_libraries(${target} PRIVATE easel_${layer})
  endforeach()
  target_link_libraries(${target} PRIVATE easel_warnings ${EASEL_PRIVATE_LIBRARIES})
endfunction()

# easel_library(<name>): the library that is installed, all layers in one.
function(easel_library name)
  get_property(layers GLOBAL PROPERTY EASEL_LAYERS)
  add_library(${name})
  add_library(easel::${name} ALIAS ${name})
  foreach(layer IN LISTS layers)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:easel_${layer}>)
  endforeach()
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR})
  target_link_libraries(${name} PUBLIC easel_options ${EASEL_PUBLIC_LIBRARIES}
    PRIVATE ${EASEL_PRIVATE_LIBRARIES})
endfunction()

# easel_c_library(<name> <layer>): the C API with all below it as one shared library, which shows
# nothing but the functions easel_*: for C, and for languages that load libraries.
function(easel_c_library name layer)
  add_library(${name} SHARED)
  add_library(easel::${name} ALIAS ${name})
  get_property(closure GLOBAL PROPERTY EASEL_CLOSURE_${layer})
  foreach(each IN LISTS closure)
    target_sources(${name} PRIVATE $<TARGET_OBJECTS:easel_${each}>)
  endforeach()
  set(map "${CMAKE_CURRENT_SOURCE_DIR}/src/${layer}/exports.map")
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR} LINK_DEPENDS "${map}" INSTALL_RPATH "$ORIGIN/easel/torch")
  target_link_options(${name} PRIVATE "LINKER:--version-script=${map}")
  target_include_directories(${name} INTERFACE
    "$<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>"
    "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")
  target_link_libraries(${name} PRIVATE easel_options easel_warnings ${EASEL_PUBLIC_LIBRARIES}
    ${EASEL_PRIVATE_LIBRARIES})
endfunction()
