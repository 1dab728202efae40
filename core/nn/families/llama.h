#pragma once

#include "core/nn/files.h"

namespace qlora::nn {

Family llama();

}  // namespace qlora::nn
