# What `cpack` makes in the build folder: a tarball and, where there are Debian's tools, a .deb of the
# programs, their data and the C API. Neither has LibTorch, which is ten times as large: whoever installs
# one runs easel-libtorch once, which says where LibTorch is or fetches it.
set(CPACK_GENERATOR TGZ)
find_program(EASEL_SHLIBDEPS dpkg-shlibdeps)
if(EASEL_SHLIBDEPS)
  list(APPEND CPACK_GENERATOR DEB)
endif()
set(CPACK_PACKAGE_NAME easel)
set(CPACK_PACKAGE_VENDOR "The Easel authors")
set(CPACK_PACKAGE_CONTACT "The Easel authors <easel@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "draw pictures of a text with Stable Diffusion")
set(CPACK_PACKAGE_DESCRIPTION "The programs txt2img, img2img, easel-train, easel-checkpoint and easel-upscale,
with a small model, and the library libeasel_c. After the installation run
easel-libtorch, which fetches LibTorch ${EASEL_TORCH_VERSION} or takes one that is there.")
set(CPACK_RESOURCE_FILE_LICENSE "${PROJECT_SOURCE_DIR}/LICENSE")
set(CPACK_PACKAGE_FILE_NAME "easel-${PROJECT_VERSION}-${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR}")
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL Runtime)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_ARCHIVE_COMPONENT_INSTALL ON)
set(CPACK_PROJECT_CONFIG_FILE "${CMAKE_CURRENT_LIST_DIR}/package_options.cmake")

set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION graphics)
# Debian's libraries are found out from the programs; LibTorch's belong to no package.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS_PRIVATE_DIRS "${EASEL_TORCH_LIB_DIR}")
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "python3-venv, ca-certificates")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA "${CMAKE_CURRENT_LIST_DIR}/debian/postinst"
  "${CMAKE_CURRENT_LIST_DIR}/debian/postrm")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
include(CPack)
