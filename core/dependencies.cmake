# Import targets for what ./dev setup put into .deps, and for Debian's packages.
# LibTorch and Arrow come from Python wheels; only their headers and shared libraries are used.

file(GLOB QLORA_SITE LIST_DIRECTORIES true "${QLORA_DEPS}/python/lib/python3*/site-packages")
list(GET QLORA_SITE 0 QLORA_SITE)

find_package(Threads REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(SQLite3 REQUIRED)
if(NOT TARGET SQLite3::SQLite3)  # its name before CMake 4.3
    add_library(SQLite3::SQLite3 ALIAS SQLite::SQLite3)
endif()
find_package(CURL REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n data)
find_package(PkgConfig REQUIRED)
pkg_check_modules(PCRE2 REQUIRED IMPORTED_TARGET libpcre2-8)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET libhwy)

# sentencepiece, built from source by ./dev setup
add_library(sentencepiece STATIC IMPORTED GLOBAL)
set_target_properties(sentencepiece PROPERTIES
    IMPORTED_LOCATION ${QLORA_DEPS}/sentencepiece/lib/libsentencepiece.a
    INTERFACE_INCLUDE_DIRECTORIES ${QLORA_DEPS}/sentencepiece/include
    INTERFACE_LINK_LIBRARIES Threads::Threads)

# Apache Arrow and Parquet from the pyarrow wheel
set(ARROW_ROOT ${QLORA_SITE}/pyarrow)
file(GLOB ARROW_LIB "${ARROW_ROOT}/libarrow.so.*")
file(GLOB PARQUET_LIB "${ARROW_ROOT}/libparquet.so.*")
list(GET ARROW_LIB 0 ARROW_LIB)
list(GET PARQUET_LIB 0 PARQUET_LIB)
add_library(arrow SHARED IMPORTED GLOBAL)
set_target_properties(arrow PROPERTIES IMPORTED_LOCATION ${ARROW_LIB}
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES ${ARROW_ROOT}/include INTERFACE_INCLUDE_DIRECTORIES ${ARROW_ROOT}/include)
add_library(parquet SHARED IMPORTED GLOBAL)
set_target_properties(parquet PROPERTIES IMPORTED_LOCATION ${PARQUET_LIB} INTERFACE_LINK_LIBRARIES arrow)

# LibTorch from the torch wheel: CPU or CUDA build, no CUDA toolkit needed. The libraries are linked by
# path with --no-as-needed because back ends register themselves from static initialisers.
set(QLORA_TORCH_SITE "" CACHE PATH "The site-packages folder with another torch wheel, such as a CUDA build; empty: the one in .deps")
set(TORCH_SITE ${QLORA_TORCH_SITE})
if(NOT TORCH_SITE)
    set(TORCH_SITE ${QLORA_SITE})
endif()
set(TORCH_ROOT ${TORCH_SITE}/torch)
add_library(torch INTERFACE)
target_include_directories(torch SYSTEM INTERFACE ${TORCH_ROOT}/include ${TORCH_ROOT}/include/torch/csrc/api/include)
set(TORCH_LIBRARIES ${TORCH_ROOT}/lib/libtorch.so ${TORCH_ROOT}/lib/libtorch_cpu.so ${TORCH_ROOT}/lib/libc10.so)
if(EXISTS ${TORCH_ROOT}/lib/libtorch_cuda.so)
    list(APPEND TORCH_LIBRARIES ${TORCH_ROOT}/lib/libtorch_cuda.so ${TORCH_ROOT}/lib/libc10_cuda.so)
    # c10/cuda/*.h want the CUDA runtime's headers, which the nvidia wheels carry; crt/ lies with triton.
    target_include_directories(torch SYSTEM INTERFACE ${TORCH_SITE}/nvidia/cu13/include ${TORCH_SITE}/triton/backends/nvidia/include)
    target_compile_definitions(torch INTERFACE QLORA_CUDA=1)
endif()
# at::parallel_for is a template of the headers: without OpenMP it runs on one thread. At run time there is one libgomp, the
# wheel's own.
target_compile_options(torch INTERFACE -fopenmp)
target_link_options(torch INTERFACE -Wl,--no-as-needed -fopenmp)
target_link_libraries(torch INTERFACE ${TORCH_LIBRARIES} Threads::Threads)
set(CMAKE_BUILD_RPATH ${TORCH_ROOT}/lib ${ARROW_ROOT})
if(EXISTS ${TORCH_ROOT}/lib/libtorch_cuda.so)
    list(APPEND CMAKE_BUILD_RPATH ${TORCH_SITE}/nvidia/cu13/lib)  # NVRTC, which is loaded when first wanted
endif()
