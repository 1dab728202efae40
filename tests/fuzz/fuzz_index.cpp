#include "tests/fuzz/entry_points.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    qlora::fuzz::read_shard_index(std::as_bytes(std::span(data, size)));
    return 0;
}
