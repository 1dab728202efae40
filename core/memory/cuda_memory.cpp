#include "core/memory/cuda_memory.h"

#include "core/memory/counting_allocator.h"

#if QLORA_CUDA
#include <c10/cuda/CUDACachingAllocator.h>

#include <atomic>
#include <mutex>
#include <unordered_map>
#endif

namespace qlora::memory {

#if QLORA_CUDA

namespace {

std::atomic<int> in_use = -1;

// The tag that a block of device memory was asked for with.
class Blocks {
  public:
    using Entry = c10::CachingDeviceAllocator::TraceEntry;
    // Called by the allocator in the thread that asks for memory or gives it back.
    void see(const Entry& entry) {
        if (entry.action_ == Entry::ALLOC) add(entry.addr_, static_cast<std::int64_t>(entry.size_));
        if (entry.action_ == Entry::FREE_REQUESTED) remove(entry.addr_);
    }

  private:
    struct Block {
        MemoryTag tag;
        std::int64_t bytes;
    };
    void add(std::uint64_t place, std::int64_t bytes) {
        const MemoryTag tag = current_tag();
        {
            const std::lock_guard lock(mutex_);
            blocks_[place] = {tag, bytes};
        }
        count_bytes(tag, bytes);
    }
    void remove(std::uint64_t place) {
        Block block{};
        {
            const std::lock_guard lock(mutex_);
            const auto found = blocks_.find(place);
            if (found == blocks_.end()) return;  // from before it was counted
            block = found->second;
            blocks_.erase(found);
        }
        count_bytes(block.tag, -block.bytes);
    }

    std::mutex mutex_;
    std::unordered_map<std::uint64_t, Block> blocks_;
};

}  // namespace

void use_cuda_memory(int device) {
    static std::once_flag once;
    std::call_once(once, [] {
        static auto* blocks = new Blocks;  // never destroyed: tensors with static lifetimes come back late
        c10::cuda::CUDACachingAllocator::attachAllocatorTraceTracker(
            [](const Blocks::Entry& entry) { blocks->see(entry); });
    });
    in_use = device;
}

std::optional<Reading::Device> cuda_memory() {
    const int device = in_use;
    if (device < 0) return {};
    const auto [free, total] =
        c10::cuda::CUDACachingAllocator::get()->getMemoryInfo(static_cast<c10::DeviceIndex>(device));
    return Reading::Device{static_cast<std::int64_t>(total), static_cast<std::int64_t>(total - free)};
}

void give_back_cuda_memory() {
    if (in_use >= 0) c10::cuda::CUDACachingAllocator::emptyCache();
}

#else

void use_cuda_memory(int) {}
std::optional<Reading::Device> cuda_memory() {
    return {};
}
void give_back_cuda_memory() {}

#endif

}  // namespace qlora::memory
