# What `cmake --install` puts where, beside the program (apps/CMakeLists.txt): one shared library that needs no other
# -dev package, the public headers under include/impasto (included as "engine/impasto.h"), find_package(impasto) with
# the target impasto::engine, impasto.pc and the weights tools.
include(CMakePackageConfigHelpers)

# The rooms' objects once more, as one library. Linking the rooms brings the libraries that they stand on.
set(rooms core options image kernels_reference kernels_cpu backend network style)
add_library(impasto_shared SHARED)
foreach(room IN LISTS rooms)
  get_target_property(type impasto_${room} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    target_sources(impasto_shared PRIVATE $<TARGET_OBJECTS:impasto_${room}>)
  endif()
  target_link_libraries(impasto_shared PRIVATE impasto_${room})
endforeach()
set_target_properties(impasto_shared PROPERTIES OUTPUT_NAME impasto EXPORT_NAME engine LINKER_LANGUAGE CXX
  VERSION ${PROJECT_VERSION} SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
  LINK_DEPENDS ${PROJECT_SOURCE_DIR}/cmake/exports.map)
target_link_options(impasto_shared PRIVATE LINKER:--version-script=${PROJECT_SOURCE_DIR}/cmake/exports.map)
target_compile_features(impasto_shared PUBLIC cxx_std_20)

set(include_dir ${CMAKE_INSTALL_INCLUDEDIR}/impasto)
set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/impasto)
install(TARGETS impasto_shared EXPORT impasto LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} INCLUDES DESTINATION ${include_dir})
if(IMPASTO_HAS_CUDA)  # beside the library; the program looks there, too
  install(TARGETS impasto_cuda LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
# engine/impasto.h and what it includes; the test of the installation finds one that is missing.
foreach(header impasto.h backend/conv_task.h core/error.h core/size.h core/tensor.h image/image.h network/weights.h options/options.h style/checkpoint.h
        style/loss_value.h style/render.h style/render_plan.h style/session.h style/source_file.h style/stylizer.h)
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${PROJECT_SOURCE_DIR}/engine/${header} DESTINATION ${include_dir}/engine/${folder})
endforeach()
install(FILES ${PROJECT_SOURCE_DIR}/kernels/ops.h DESTINATION ${include_dir}/kernels)

install(EXPORT impasto NAMESPACE impasto:: FILE impastoConfig.cmake DESTINATION ${config_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/impastoConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/impastoConfigVersion.cmake DESTINATION ${config_dir})
file(RELATIVE_PATH prefix_from_pc /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${PROJECT_SOURCE_DIR}/cmake/impasto.pc.in ${PROJECT_BINARY_DIR}/impasto.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/impasto.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

install(DIRECTORY ${PROJECT_SOURCE_DIR}/weights_tools DESTINATION ${CMAKE_INSTALL_DATADIR}/impasto
  PATTERN __pycache__ EXCLUDE)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE ${PROJECT_SOURCE_DIR}/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
