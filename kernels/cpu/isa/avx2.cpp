// Compiled with the flags of cmake/isa.cmake.
#define IMPASTO_ISA avx2
#include "kernels/cpu/isa/table.h"
