#include "core/memory/block_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdint>

namespace qlora::memory {

namespace {

constexpr std::size_t large_page = std::size_t{2} << 20;

std::size_t rounded(std::size_t bytes, std::size_t to) { return (std::max<std::size_t>(bytes, 1) + to - 1) / to * to; }

}  // namespace

BlockPool::~BlockPool() {
    for (const auto& [begin, bytes] : segments_) ::munmap(begin, bytes);
}

// A new segment, at least so large, at a large page's edge.
bool BlockPool::grow(std::size_t bytes) {
    if (bytes > PTRDIFF_MAX / 2) return false;
    std::size_t size = 0;
    void* memory = MAP_FAILED;
    for (const std::size_t wanted : {segment_bytes_, std::min(segment_bytes_, std::size_t{1} << 30), bytes}) {  // address space may be limited
        size = rounded(std::max(bytes, wanted), large_page);
        memory = ::mmap(nullptr, size + large_page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory != MAP_FAILED) break;
    }
    if (memory == MAP_FAILED) return false;
    const std::size_t mapped = size + large_page;
    auto* begin = static_cast<Place>(memory);
    auto* aligned = reinterpret_cast<Place>(rounded(reinterpret_cast<std::uintptr_t>(begin), large_page));
    if (aligned > begin) ::munmap(begin, static_cast<std::size_t>(aligned - begin));
    if (const auto rest = static_cast<std::size_t>(begin + mapped - (aligned + size)); rest > 0) ::munmap(aligned + size, rest);
    ::madvise(aligned, size, MADV_HUGEPAGE);  // where the system has none, small pages do
    segments_.emplace(aligned, size);
    add_free(aligned, size);
    return true;
}

void BlockPool::add_free(Place begin, std::size_t bytes) {
    free_.emplace(begin, bytes);
    by_size_.emplace(bytes, begin);
}

void BlockPool::take_free(std::map<Place, std::size_t>::iterator range) {
    by_size_.erase({range->second, range->first});
    free_.erase(range);
}

void* BlockPool::allocate(std::size_t bytes) {
    bytes = rounded(bytes, alignment);
    std::lock_guard lock(mutex_);
    auto fit = by_size_.lower_bound({bytes, nullptr});
    if (fit == by_size_.end()) {
        if (!grow(bytes)) return nullptr;
        fit = by_size_.lower_bound({bytes, nullptr});
    }
    const auto [size, begin] = *fit;
    take_free(free_.find(begin));
    if (size > bytes) add_free(begin + bytes, size - bytes);
    used_ += bytes;
    return begin;
}

void BlockPool::release(void* block, std::size_t bytes) {
    bytes = rounded(bytes, alignment);
    auto* begin = static_cast<Place>(block);
    std::lock_guard lock(mutex_);
    used_ -= bytes;
    // Segments may touch; what lies in two of them stays two.
    const auto segment = std::prev(segments_.upper_bound(begin));
    Place end = begin + bytes;
    if (auto behind = free_.find(end); behind != free_.end() && end < segment->first + segment->second) {
        end += behind->second;
        take_free(behind);
    }
    if (auto next = free_.lower_bound(begin); next != free_.begin()) {
        const auto before = std::prev(next);
        if (before->first + before->second == begin && before->first >= segment->first) {
            begin = before->first;
            take_free(before);
        }
    }
    add_free(begin, static_cast<std::size_t>(end - begin));
}

void BlockPool::trim() {
    std::lock_guard lock(mutex_);
    for (auto segment = segments_.begin(); segment != segments_.end();) {
        const auto [begin, bytes] = *segment;
        if (const auto range = free_.find(begin); range != free_.end() && range->second == bytes) {
            take_free(range);
            ::munmap(begin, bytes);
            segment = segments_.erase(segment);
        } else {
            ++segment;
        }
    }
    for (const auto& [begin, bytes] : free_) {
        const auto first = rounded(reinterpret_cast<std::uintptr_t>(begin), 4096), last = (reinterpret_cast<std::uintptr_t>(begin) + bytes) / 4096 * 4096;
        if (last > first) ::madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
    }
}

BlockPool::Sizes BlockPool::sizes() const {
    std::lock_guard lock(mutex_);
    Sizes sizes{used_, 0};
    for (const auto& [begin, bytes] : free_) sizes.free += bytes;
    return sizes;
}

}  // namespace qlora::memory
