# What `cmake --install` puts where: the library with its headers, CMake package and pkg-config files,
# the programs with their manuals, and the data that they look for at ../share/easel of their folder.
# The component Runtime is what a package has (Package.cmake): the programs, the data and the C API.
option(EASEL_INSTALL "Make install rules" ${PROJECT_IS_TOP_LEVEL})
if(NOT EASEL_INSTALL)
  return()
endif()
include(CMakePackageConfigHelpers)

set(EASEL_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/easel")
install(TARGETS easel easel_options EXPORT easelTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT Development
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT Runtime
  NAMELINK_COMPONENT Development)
install(TARGETS easel_c EXPORT easelTargets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT Runtime)
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/easel" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  COMPONENT Development FILES_MATCHING PATTERN "*.h" PATTERN "capi" EXCLUDE)
install(FILES "${PROJECT_SOURCE_DIR}/include/easel/capi/easel.h"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/easel/capi" COMPONENT Runtime)
install(EXPORT easelTargets NAMESPACE easel:: DESTINATION "${EASEL_PACKAGE_DIR}"
  COMPONENT Development)

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/easelConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/easelConfig.cmake" INSTALL_DESTINATION "${EASEL_PACKAGE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/easelConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/easelConfig.cmake" "${PROJECT_BINARY_DIR}/easelConfigVersion.cmake"
  DESTINATION "${EASEL_PACKAGE_DIR}" COMPONENT Development)

# pkg-config: easel is the C++ library, easel_c the C API. Both find themselves wherever they lie.
file(RELATIVE_PATH EASEL_PC_PREFIX "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" EASEL_PC_PREFIX "${EASEL_PC_PREFIX}")
list(TRANSFORM TORCH_INCLUDE_DIRS PREPEND "-isystem " OUTPUT_VARIABLE EASEL_PC_CFLAGS)
list(JOIN EASEL_PC_CFLAGS " " EASEL_PC_CFLAGS)
set(EASEL_PC_LIBS "-L${EASEL_TORCH_LIB_DIR} -Wl,-rpath,${EASEL_TORCH_LIB_DIR} -ltorch -ltorch_cpu -lc10")
if(TARGET torch_cuda)
  string(APPEND EASEL_PC_LIBS " -Wl,--no-as-needed -ltorch_cuda -lc10_cuda -Wl,--as-needed")
endif()
if(NOT BUILD_SHARED_LIBS)
  list(JOIN OpenMP_CXX_LIBRARIES " " EASEL_PC_OPENMP)
  string(APPEND EASEL_PC_LIBS " ${EASEL_HWY_LIBRARY} ${EASEL_PC_OPENMP}")
  set(EASEL_PC_REQUIRES "zlib yaml-cpp libutf8proc sentencepiece libcrypto libcurl")
endif()
foreach(package easel easel_c)
  configure_file("${CMAKE_CURRENT_LIST_DIR}/${package}.pc.in" "${PROJECT_BINARY_DIR}/${package}.pc" @ONLY)
endforeach()
install(FILES "${PROJECT_BINARY_DIR}/easel.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
  COMPONENT Development)
install(FILES "${PROJECT_BINARY_DIR}/easel_c.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
  COMPONENT Runtime)

# The way to LibTorch's libraries: a link, which a package leaves to easel-libtorch.
install(CODE "
  set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${EASEL_TORCH_LINK_DIR}\")
  file(MAKE_DIRECTORY \"\${folder}\")
  file(CREATE_LINK \"${EASEL_INSTALL_TORCH_DIR}\" \"\${folder}/torch\" SYMBOLIC)" COMPONENT LibTorch)
configure_file("${CMAKE_CURRENT_LIST_DIR}/easel-libtorch.in" "${PROJECT_BINARY_DIR}/easel-libtorch" @ONLY)
install(PROGRAMS "${PROJECT_BINARY_DIR}/easel-libtorch" DESTINATION "${CMAKE_INSTALL_BINDIR}"
  COMPONENT Runtime)

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}" COMPONENT Runtime)
if(EASEL_BUILD_APPS)
  get_property(programs GLOBAL PROPERTY EASEL_PROGRAMS)
  install(TARGETS ${programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}" COMPONENT Runtime)
  install(DIRECTORY "${EASEL_BUILD_DATA}/configs" "${EASEL_BUILD_DATA}/clip" DESTINATION "share/easel"
    COMPONENT Runtime)
  install(DIRECTORY "${EASEL_BUILD_DATA}/models/shapes" DESTINATION "share/easel/models"
    COMPONENT Runtime OPTIONAL)
  install(DIRECTORY "${EASEL_MANUALS}/man/" DESTINATION "${CMAKE_INSTALL_MANDIR}/man1"
    COMPONENT Runtime)
  install(DIRECTORY "${EASEL_MANUALS}/bash/" DESTINATION "share/bash-completion/completions"
    COMPONENT Runtime)
  install(DIRECTORY "${EASEL_MANUALS}/zsh/" DESTINATION "share/zsh/site-functions"
    COMPONENT Runtime)
  install(DIRECTORY "${EASEL_MANUALS}/fish/" DESTINATION "share/fish/vendor_completions.d"
    COMPONENT Runtime)
endif()
include(Package)
