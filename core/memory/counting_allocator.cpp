#include "core/memory/counting_allocator.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>

#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <new>

#include "core/memory/block_pool.h"
#include "core/memory/cuda_memory.h"
#include "core/memory/meters.h"

namespace qlora::memory {

namespace {

constexpr std::size_t alignment = 64;

struct alignas(alignment) Header {
    std::int64_t bytes;
    MemoryTag tag;
};
static_assert(sizeof(Header) == alignment);

std::array<std::atomic<std::int64_t>, memory_tag_count> live;
std::atomic<std::int64_t> live_total{0}, peak{0};
std::mutex peak_mutex;
MemoryBytes at_peak;
thread_local MemoryTag tag_of_thread = MemoryTag::other;

MemoryBytes snapshot() {
    MemoryBytes bytes;
    for (std::size_t i = 0; i < memory_tag_count; ++i) bytes.by_tag[i] = live[i].load(std::memory_order_relaxed);
    return bytes;
}

void count(MemoryTag tag, std::int64_t bytes) {
    live[static_cast<std::size_t>(tag)].fetch_add(bytes, std::memory_order_relaxed);
    std::int64_t total = live_total.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (total <= peak.load(std::memory_order_relaxed)) return;
    std::lock_guard lock(peak_mutex);
    if (total <= peak.load(std::memory_order_relaxed)) return;
    peak.store(total, std::memory_order_relaxed);
    at_peak = snapshot();
}

// Blocks of so many bytes and more come from the pool, smaller ones from the heap. The address sanitizer watches over the
// heap alone.
#if defined(__SANITIZE_ADDRESS__)
constexpr std::int64_t pooled_from = std::numeric_limits<std::int64_t>::max();
#else
constexpr std::int64_t pooled_from = std::int64_t{64} << 10;
#endif

BlockPool& pool() {
    static auto* pool = new BlockPool;  // never destroyed: tensors with static lifetimes come back late
    return *pool;
}

void release(void* data) {
    if (data == nullptr) return;
    auto* header = static_cast<Header*>(data) - 1;
    count(header->tag, -header->bytes);
    if (header->bytes >= pooled_from) pool().release(header, static_cast<std::size_t>(header->bytes) + sizeof(Header));
    else std::free(header);
}

class CountingAllocator final : public c10::Allocator {
  public:
    c10::DataPtr allocate(std::size_t bytes) override {
        const c10::Device cpu(c10::DeviceType::CPU);
        if (bytes == 0) return {nullptr, nullptr, &release, cpu};
        // bad_alloc, not a LibTorch error: the edges explain running out of memory in one place.
        if (bytes > PTRDIFF_MAX - 2 * alignment) throw std::bad_alloc();
        void* block = nullptr;
        if (static_cast<std::int64_t>(bytes) >= pooled_from) block = pool().allocate(bytes + sizeof(Header));
        else if (::posix_memalign(&block, alignment, bytes + sizeof(Header)) != 0) block = nullptr;
        if (block == nullptr) throw std::bad_alloc();
        auto* header = new (block) Header{static_cast<std::int64_t>(bytes), tag_of_thread};
        count(header->tag, header->bytes);
        void* data = header + 1;
        return {data, data, &release, cpu};
    }
    c10::DeleterFnPtr raw_deleter() const override { return &release; }
    void copy_data(void* destination, const void* source, std::size_t bytes) const override {
        default_copy_data(destination, source, bytes);
    }
};

}  // namespace

void install_counting_allocator() {
    static CountingAllocator allocator;
    static std::once_flag once;
    std::call_once(once, [] { c10::SetCPUAllocator(&allocator, 100); });
}

void give_back() {
    pool().trim();
    ::malloc_trim(0);
    give_back_cuda_memory();
}

Counts counts() {
    std::lock_guard lock(peak_mutex);
    return {snapshot(), at_peak, peak.load(std::memory_order_relaxed)};
}

void reset_counted_peak() {
    std::lock_guard lock(peak_mutex);
    at_peak = snapshot();
    peak.store(at_peak.total(), std::memory_order_relaxed);
}

void count_bytes(MemoryTag tag, std::int64_t bytes) { count(tag, bytes); }

MemoryTag current_tag() { return tag_of_thread; }
void set_current_tag(MemoryTag tag) { tag_of_thread = tag; }

}  // namespace qlora::memory
