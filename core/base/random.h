#pragma once
// Seeded random streams: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A stream is (seed, stream id, counter), so its state is three numbers and any stream can be started anywhere.

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace qlora {

std::array<std::uint32_t, 4> philox(std::array<std::uint32_t, 4> counter, std::array<std::uint32_t, 2> key);

class RandomStream {
  public:
    struct State {
        std::uint64_t seed = 0, stream = 0, position = 0;  // position counts the 32-bit numbers drawn
        bool operator==(const State&) const = default;
    };

    // `purpose` separates the uses of one seed ("shuffle", "dropout", "init", ...).
    RandomStream(std::uint64_t seed, std::string_view purpose);
    explicit RandomStream(State state) : state_(state) {}

    const State& state() const { return state_; }
    std::uint32_t next();
    double uniform();                         // [0, 1), 53 bits
    std::uint64_t below(std::uint64_t bound);  // [0, bound) without bias; bound > 0
    double normal();                          // N(0, 1), Box-Muller
    std::vector<std::uint32_t> permutation(std::uint32_t n);

  private:
    State state_;
};

}  // namespace qlora
