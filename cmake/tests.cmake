# The tests that are no Catch2 program: the Python tools' own, and a consumer of a fresh installation.
function(impasto_python_has_h5py result candidate)
  execute_process(COMMAND ${candidate} -c "import h5py, numpy" RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    set(${result} FALSE PARENT_SCOPE)
  endif()
endfunction()
find_program(IMPASTO_PYTHON python3 VALIDATOR impasto_python_has_h5py REQUIRED DOC "Python with h5py and NumPy")
# Nothing of the tools is instrumented, and an instrumented library would ask the same instruments of its consumer.
if(NOT IMPASTO_SANITIZE AND NOT IMPASTO_COVERAGE)
  file(GLOB python_tests CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/tests/python/test_*.py)
  foreach(file IN LISTS python_tests)
    get_filename_component(name ${file} NAME_WE)
    add_test(NAME "python: ${name}" COMMAND ${IMPASTO_PYTHON} -m unittest -v tests/python/${name}.py
      WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties("python: ${name}" PROPERTIES ENVIRONMENT "IMPASTO_PROGRAM=$<TARGET_FILE:impasto>")
  endforeach()
  add_test(NAME "install: a program elsewhere builds and runs against the installed library"
    COMMAND ${CMAKE_COMMAND} -DBUILD=${PROJECT_BINARY_DIR} -DSOURCE=${PROJECT_SOURCE_DIR}
            -DWORK=${PROJECT_BINARY_DIR}/install_test -DCOMPILER=${CMAKE_CXX_COMPILER} -DPYTHON=${IMPASTO_PYTHON}
            -P ${PROJECT_SOURCE_DIR}/tests/test_install.cmake)
endif()
if(IMPASTO_HAS_CUDA AND CMAKE_CUDA_ARCHITECTURES MATCHES "^[0-9]")  # not "native" and the like
  list(JOIN CMAKE_CUDA_ARCHITECTURES "," architectures)
  add_test(NAME "the CUDA module holds code for the GPUs that it was built for"
    COMMAND ${IMPASTO_PYTHON} ${PROJECT_SOURCE_DIR}/scripts/gpu_code.py --expect ${architectures} $<TARGET_FILE:impasto_cuda>)
endif()
