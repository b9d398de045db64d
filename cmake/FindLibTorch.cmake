# Finds LibTorch: the user's own (CMAKE_PREFIX_PATH or Torch_DIR) if given, else the torch wheel that
# scripts/setup puts into .venv. A CUDA build of LibTorch asks for a CUDA toolkit when it is
# configured; where the machine has none, the toolkit's wheels in the same .venv serve as one.
# CMake looks into the variable before it looks into the environment, where the user's own may be.
if(DEFINED ENV{Torch_DIR} AND NOT Torch_DIR)
  set(Torch_DIR "$ENV{Torch_DIR}" CACHE PATH "LibTorch's CMake package")
endif()
if(DEFINED ENV{CMAKE_PREFIX_PATH})
  string(REPLACE ":" ";" _easel_prefixes "$ENV{CMAKE_PREFIX_PATH}")
  list(APPEND CMAKE_PREFIX_PATH ${_easel_prefixes})
endif()

file(GLOB _easel_torch
  "${CMAKE_CURRENT_SOURCE_DIR}/.venv/lib/python3*/site-packages/torch/share/cmake/Torch")
if(_easel_torch)
  list(GET _easel_torch -1 _easel_torch)
  cmake_path(SET _easel_wheel NORMALIZE "${_easel_torch}/../../..")
  list(APPEND CMAKE_PREFIX_PATH "${_easel_wheel}")
  cmake_path(SET _easel_cuda_wheels NORMALIZE "${_easel_wheel}/../nvidia/cu13")
  # The header of the NCCL that LibTorch brings, for training on several GPUs.
  find_path(EASEL_NCCL_INCLUDE_DIR nccl.h PATHS "${_easel_wheel}/../nvidia/nccl/include")
  find_program(EASEL_NVCC nvcc HINTS ENV CUDA_HOME PATHS /usr/local/cuda PATH_SUFFIXES bin)
  if(NOT EASEL_NVCC AND EXISTS "${_easel_cuda_wheels}/bin/nvcc")
    set(ENV{CUDA_HOME} "${_easel_cuda_wheels}")
    set(ENV{CUDACXX} "${_easel_cuda_wheels}/bin/nvcc")
    set(CUDA_TOOLKIT_ROOT_DIR "${_easel_cuda_wheels}" CACHE PATH "CUDA toolkit")
    set(CUDAToolkit_ROOT "${_easel_cuda_wheels}" CACHE PATH "CUDA toolkit")
  endif()
endif()

# Turing to Blackwell. Without a list Torch's package would try to run a program on this machine's GPU.
if(NOT DEFINED TORCH_CUDA_ARCH_LIST)
  set(TORCH_CUDA_ARCH_LIST "7.5;8.0;8.6;8.9;9.0;10.0;12.0" CACHE STRING "CUDA architectures")
endif()

find_package(Torch REQUIRED)

# Torch's package adds nothing to the imported target's run path; the programs find the libraries
# where they were at link time, and an installed program through the link lib/easel/torch, which leads
# where EASEL_INSTALL_TORCH_DIR says.
get_filename_component(EASEL_TORCH_LIB_DIR "${TORCH_LIBRARY}" DIRECTORY)
set(CMAKE_BUILD_RPATH "${EASEL_TORCH_LIB_DIR}")
set(EASEL_INSTALL_TORCH_DIR "${EASEL_TORCH_LIB_DIR}" CACHE STRING
  "Where installed programs look for LibTorch's libraries, beside the system's folders")
set(EASEL_TORCH_LINK_DIR "${CMAKE_INSTALL_LIBDIR}/easel")
string(REGEX REPLACE "[+].*" "" EASEL_TORCH_VERSION "${Torch_VERSION}")
set(EASEL_TORCH_NEEDS "libtorch.so")
if(TARGET torch_cuda)
  string(APPEND EASEL_TORCH_NEEDS " libtorch_cuda.so")
endif()
