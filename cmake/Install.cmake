# What `cmake --install` puts where: the library with its headers and CMake package, the programs, and
# the data that they look for at ../share/easel of their folder.
option(EASEL_INSTALL "Make install rules" ${PROJECT_IS_TOP_LEVEL})
if(NOT EASEL_INSTALL)
  return()
endif()
include(CMakePackageConfigHelpers)

set(EASEL_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/easel")
install(TARGETS easel easel_options EXPORT easelTargets
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/easel" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h")
install(EXPORT easelTargets NAMESPACE easel:: DESTINATION "${EASEL_PACKAGE_DIR}")

configure_package_config_file("${CMAKE_CURRENT_LIST_DIR}/easelConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/easelConfig.cmake" INSTALL_DESTINATION "${EASEL_PACKAGE_DIR}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/easelConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/easelConfig.cmake" "${PROJECT_BINARY_DIR}/easelConfigVersion.cmake"
  DESTINATION "${EASEL_PACKAGE_DIR}")

install(FILES "${PROJECT_SOURCE_DIR}/LICENSE" DESTINATION "${CMAKE_INSTALL_DOCDIR}")
if(EASEL_BUILD_APPS)
  get_property(programs GLOBAL PROPERTY EASEL_PROGRAMS)
  install(TARGETS ${programs} RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  install(DIRECTORY "${EASEL_BUILD_DATA}/configs" "${EASEL_BUILD_DATA}/clip" DESTINATION "share/easel")
  install(DIRECTORY "${EASEL_BUILD_DATA}/models/shapes" DESTINATION "share/easel/models" OPTIONAL)
endif()
