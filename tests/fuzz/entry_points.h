#pragma once
// What the fuzzers feed: each reads bytes as a program would read a hostile file, down to every value and
// every byte of every tensor, and comes back quietly whether they are refused (qlora::Error) or not. Anything
// else is a finding.

#include <cstddef>
#include <span>

namespace qlora::fuzz {

void read_safetensors(std::span<const std::byte> bytes);
void read_gguf(std::span<const std::byte> bytes);
void read_shard_index(std::span<const std::byte> bytes);
void read_json(std::span<const std::byte> bytes);

}  // namespace qlora::fuzz
