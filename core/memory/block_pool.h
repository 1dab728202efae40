#pragma once
// Large blocks of memory that are kept for the next of their kind: what a training step frees, the step after takes again,
// without page faults, from large pages where the system has them. Best fit over whole segments, neighbours joined.

#include <cstddef>
#include <map>
#include <mutex>
#include <set>
#include <utility>

namespace qlora::memory {

// Any thread.
class BlockPool {
  public:
    static constexpr std::size_t alignment = 64;

    // Segments are address space; only what is used of it becomes memory. What lies in two is never joined: one large enough for
    // all leaves fewer holes.
    explicit BlockPool(std::size_t segment_bytes = std::size_t{64} << 30) : segment_bytes_(segment_bytes) {}
    ~BlockPool();
    BlockPool(const BlockPool&) = delete;
    BlockPool& operator=(const BlockPool&) = delete;

    // At least so many bytes, their content not set; null when the system has no more.
    void* allocate(std::size_t bytes);
    void release(void* block, std::size_t bytes);  // as they were asked for
    // Gives what is free back to the system.
    void trim();

    struct Sizes {
        std::size_t used = 0, free = 0;  // bytes; free: also those that were given back and may come again
    };
    Sizes sizes() const;

  private:
    using Place = std::byte*;
    bool grow(std::size_t bytes);
    void add_free(Place begin, std::size_t bytes);
    void take_free(std::map<Place, std::size_t>::iterator range);

    const std::size_t segment_bytes_;
    mutable std::mutex mutex_;
    std::map<Place, std::size_t> segments_;
    std::map<Place, std::size_t> free_;               // by place; never two that touch inside a segment
    std::set<std::pair<std::size_t, Place>> by_size_;  // the same
    std::size_t used_ = 0;
};

}  // namespace qlora::memory
