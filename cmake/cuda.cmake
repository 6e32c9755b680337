# The CUDA module, libimpasto_cuda.so: kernels/cuda and engine/backend/cuda, opened by the program at run time. Built where a
# CUDA toolkit of at least 12.4 and cuDNN of at least 9.8 are found. Sets IMPASTO_CUDA_SAYS, a line for people.
set(IMPASTO_CUDA_SAYS "built for the CPU, without a CUDA module (IMPASTO_CUDA=OFF)")
set(IMPASTO_HAS_CUDA FALSE)
if(IMPASTO_CUDA STREQUAL "OFF")
  return()
endif()

# What is missing goes into IMPASTO_CUDA_SAYS; with IMPASTO_CUDA=ON it is an error.
macro(impasto_no_cuda reason)
  if(IMPASTO_CUDA STREQUAL "ON")
    message(FATAL_ERROR "IMPASTO_CUDA=ON, but ${reason}")
  endif()
  set(IMPASTO_CUDA_SAYS "built for the CPU, without a CUDA module: ${reason}")
  return()
endmacro()

include(CheckLanguage)
check_language(CUDA)
if(NOT CMAKE_CUDA_COMPILER)
  impasto_no_cuda("no CUDA compiler was found")
endif()
# Unless given: machine code for each generation that the compiler still knows, of which sm_80's runs on 8.7, sm_100's on
# 10.3 and sm_120's on 12.1, and PTX, from which the driver makes code for what comes after them.
if(NOT CMAKE_CUDA_ARCHITECTURES)
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-code OUTPUT_VARIABLE known ERROR_QUIET)
  foreach(architecture 75 80 86 89 100 120)
    if(known MATCHES "sm_${architecture}[^0-9]")
      list(APPEND CMAKE_CUDA_ARCHITECTURES ${architecture}-real)
    endif()
  endforeach()
  list(APPEND CMAKE_CUDA_ARCHITECTURES 90)
endif()
if(IMPASTO_CCACHE AND NOT CMAKE_CUDA_COMPILER_LAUNCHER)
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${IMPASTO_CCACHE})
endif()
enable_language(CUDA)
if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.26 does not know nvcc's
  set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
  set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
endif()
find_package(CUDAToolkit QUIET)
if(NOT CUDAToolkit_FOUND OR CUDAToolkit_VERSION VERSION_LESS 12.4)
  impasto_no_cuda("CUDA ${CUDAToolkit_VERSION} is older than 12.4")
endif()
# Beside the toolkit, in a conda environment, or as pip installs it into a virtual environment (no libcudnn.so there).
file(GLOB pip_cudnn LIST_DIRECTORIES TRUE "$ENV{VIRTUAL_ENV}/lib/python3*/site-packages/nvidia/cudnn")
find_path(CUDNN_INCLUDE_DIR cudnn_version.h HINTS ${CUDAToolkit_INCLUDE_DIRS} $ENV{CONDA_PREFIX}/include ${pip_cudnn}/include)
find_library(CUDNN_LIBRARY NAMES cudnn libcudnn.so.9 HINTS ${CUDAToolkit_LIBRARY_DIR} $ENV{CONDA_PREFIX}/lib ${pip_cudnn}/lib)
if(NOT CUDNN_INCLUDE_DIR OR NOT CUDNN_LIBRARY)
  impasto_no_cuda("cuDNN was not found")
endif()
file(STRINGS ${CUDNN_INCLUDE_DIR}/cudnn_version.h version_lines REGEX "define CUDNN_(MAJOR|MINOR) ")
string(REGEX REPLACE ".*CUDNN_MAJOR ([0-9]+).*CUDNN_MINOR ([0-9]+).*" "\\1.\\2" CUDNN_VERSION "${version_lines}")
if(CUDNN_VERSION VERSION_LESS 9.8)
  impasto_no_cuda("cuDNN ${CUDNN_VERSION} is older than 9.8")
endif()

# A module is of one build with its program if the headers between them are the same.
set(seam)
foreach(header engine/backend/backend.h engine/backend/conv_filter.h engine/backend/conv_task.h engine/backend/devices.h engine/backend/device_status.h engine/backend/precision.h engine/backend/tuning.h
        engine/backend/cuda/module.h engine/core/tensor.h engine/core/error.h kernels/ops.h kernels/line_search.h kernels/lbfgs_search.h kernels/descent_search.h kernels/gradient_scale.h)
  file(SHA256 ${PROJECT_SOURCE_DIR}/${header} digest)
  string(APPEND seam ${digest})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
endforeach()
string(SHA256 seam "${seam} ${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")

# Where the module finds CUDA's libraries, in its RUNPATH and told to the program, which opens the runtime before it: the
# folders that they were found in, and the module's own, as in a conda environment.
set(cuda_folders)
foreach(library ${CUDA_cudart_LIBRARY} ${CUDA_cublas_LIBRARY} ${CUDNN_LIBRARY})
  get_filename_component(folder ${library} DIRECTORY)
  list(APPEND cuda_folders ${folder})
endforeach()
list(REMOVE_DUPLICATES cuda_folders)
list(JOIN cuda_folders ":" cuda_folders_text)
set_source_files_properties(engine/backend/cuda_loader.cpp PROPERTIES COMPILE_DEFINITIONS
  "IMPASTO_SEAM=\"${seam}\";IMPASTO_CUDA_MAJOR=\"${CUDAToolkit_VERSION_MAJOR}\";IMPASTO_CUDA_FOLDERS=\"${cuda_folders_text}\";IMPASTO_LIBRARY_FOLDER=\"${CMAKE_INSTALL_LIBDIR}\"")

file(GLOB cuda_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/cuda/*.cu)
# With more cores than files nvcc compiles for several architectures at a time.
list(LENGTH cuda_kernels num_kernels)
cmake_host_system_information(RESULT cores QUERY NUMBER_OF_LOGICAL_CORES)
math(EXPR nvcc_threads "1 + (${cores} - 1) / ${num_kernels}")
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/engine/backend/cuda/*.cpp)
list(REMOVE_ITEM cuda_sources ${PROJECT_SOURCE_DIR}/engine/backend/cuda/module.cpp)
add_library(impasto_kernels_cuda OBJECT ${cuda_kernels})
set_source_files_properties(kernels/cuda/search.cu PROPERTIES COMPILE_OPTIONS --fmad=false)  # the host's bits
target_include_directories(impasto_kernels_cuda PUBLIC ${PROJECT_SOURCE_DIR})
# Line numbers for profilers and compute-sanitizer; the code is the same.
target_compile_options(impasto_kernels_cuda PRIVATE -lineinfo --threads=${nvcc_threads} -Xcompiler=-Wall,-Wextra$<$<BOOL:${IMPASTO_WERROR}>:,-Werror>
  -Xptxas=--warn-on-spills$<$<BOOL:${IMPASTO_WERROR}>:,--warning-as-error>)

# Everything but the entry, for the module and for tests that need no device.
add_library(impasto_cuda_objects OBJECT ${cuda_sources})
target_include_directories(impasto_cuda_objects SYSTEM PUBLIC ${CUDAToolkit_INCLUDE_DIRS} ${CUDNN_INCLUDE_DIR})
target_include_directories(impasto_cuda_objects PUBLIC ${PROJECT_SOURCE_DIR})
target_link_libraries(impasto_cuda_objects PRIVATE impasto_core impasto_flags)

add_library(impasto_cuda MODULE engine/backend/cuda/module.cpp engine/backend/backend.cpp engine/backend/choice_cache.cpp engine/backend/precision.cpp
  $<TARGET_OBJECTS:impasto_cuda_objects> $<TARGET_OBJECTS:impasto_kernels_cuda>)
target_compile_definitions(impasto_cuda PRIVATE "IMPASTO_SEAM=\"${seam}\"")
set(IMPASTO_CUDA_LIBRARIES CUDA::cudart CUDA::cublas ${CUDNN_LIBRARY})
target_link_libraries(impasto_cuda PRIVATE impasto_cuda_objects impasto_core impasto_flags ${IMPASTO_CUDA_LIBRARIES})
set_target_properties(impasto_cuda PROPERTIES LINKER_LANGUAGE CXX CXX_VISIBILITY_PRESET hidden
  VISIBILITY_INLINES_HIDDEN ON INSTALL_RPATH "${cuda_folders};$ORIGIN")
set(IMPASTO_HAS_CUDA TRUE)
list(JOIN CMAKE_CUDA_ARCHITECTURES ", " architectures)
set(IMPASTO_CUDA_SAYS "with a CUDA module (CUDA ${CUDAToolkit_VERSION}, cuDNN ${CUDNN_VERSION}, architectures ${architectures})")
