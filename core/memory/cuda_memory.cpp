#include "core/memory/cuda_memory.h"

#include <c10/util/Exception.h>

#include <cstdio>
#include <string_view>

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
        c10::cuda::CUDACachingAllocator::attachAllocatorTraceTracker([](const Blocks::Entry& entry) { blocks->see(entry); });
    });
    in_use = device;
}

std::optional<Reading::Device> cuda_memory() {
    const int device = in_use;
    if (device < 0) return {};
    const auto [free, total] = c10::cuda::CUDACachingAllocator::get()->getMemoryInfo(static_cast<c10::DeviceIndex>(device));
    return Reading::Device{static_cast<std::int64_t>(total), static_cast<std::int64_t>(total - free)};
}

void give_back_cuda_memory() {
    if (in_use >= 0) c10::cuda::CUDACachingAllocator::emptyCache();
}

#else

void use_cuda_memory(int) {}
std::optional<Reading::Device> cuda_memory() { return {}; }
void give_back_cuda_memory() {}

#endif

std::optional<Error> out_of_device_memory(const std::exception& error) {
    const std::string_view text = error.what();
    const bool told = dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr;
    if (!told && text.find("CUDA error: out of memory") == text.npos && text.find("CUDA_ERROR_OUT_OF_MEMORY") == text.npos &&
        text.find("CUBLAS_STATUS_ALLOC_FAILED") == text.npos)
        return {};
    std::string message = "the GPU has not enough free memory";
    constexpr std::string_view before = "Tried to allocate ";
    if (const auto begin = text.find(before); begin != text.npos) {
        const auto wanted = text.substr(begin + before.size());
        message += ": " + std::string(wanted.substr(0, wanted.find("iB") + 2)) + " more were wanted";
    }
    if (const auto memory = cuda_memory()) {
        char free[96];
        std::snprintf(free, sizeof(free), "; %.2f of %.2f GiB are free", static_cast<double>(memory->total - memory->used) / (1 << 30),
                      static_cast<double>(memory->total) / (1 << 30));
        message += free;
    }
    return failure("memory.device", "GPU", message,
                   "Use a smaller batch, shorter rows, gradient checkpointing or a smaller model, close other programs that use the GPU, or compute on "
                   "the CPU (--device cpu).");
}

}  // namespace qlora::memory
