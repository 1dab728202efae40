#pragma once
// Where the CUDA kernels' tests run: the stand-in, its threads in either order, and a GPU where one is present.

#include <QtTest>
#include <cmath>
#include <cstring>
#include <span>
#include <stdexcept>

#include "cuda_stand_in.h"
#include "kernels/cuda/driver.h"
#include "nvrtc_wheel.h"

class CudaDevice {
  public:
    // Rows for a test's data: "stand-in", "stand-in, last thread first", "GPU".
    static void add_rows() {
        QTest::addColumn<QString>("where");
        for (const char* row : {"stand-in", "stand-in, last thread first", "GPU"}) QTest::newRow(row) << row;
    }

    // Throws std::runtime_error that says why there is no GPU.
    explicit CudaDevice(const QString& where) {
        if (where != "GPU") {
            stand_in_ = std::make_unique<StandIn>(where == "stand-in" ? FiberOrder::ascending : FiberOrder::descending);
            return;
        }
        driver_ = std::make_shared<const qlora::kernels::cuda::Driver>();
        if (driver_->devices() == 0) throw std::runtime_error("the NVIDIA driver finds no GPU");
        const auto nvrtc = std::make_shared<const qlora::kernels::cuda::Nvrtc>(nvrtc_wheel());
        gpu_ = std::make_unique<qlora::kernels::cuda::GpuRunner>(
            driver_, 0, qlora::kernels::cuda::cached_programs(nvrtc, cache_.path().toStdString()));
    }
    ~CudaDevice() {
        for (std::byte* memory : memory_)
            if (driver_)
                driver_->release(memory);
            else
                ::operator delete (memory, std::align_val_t{64});
    }

    qlora::kernels::cuda::Runner& runner() {
        if (stand_in_) return *stand_in_;
        return *gpu_;
    }

    std::byte* allocate(std::size_t bytes) {
        memory_.push_back(static_cast<std::byte*>(driver_ ? driver_->allocate(0, static_cast<std::int64_t>(bytes))
                                                          : ::operator new (bytes, std::align_val_t{64})));
        return memory_.back();
    }
    void upload(std::byte* to, const void* from, std::size_t bytes) {
        if (driver_)
            driver_->upload(to, from, static_cast<std::int64_t>(bytes));
        else
            std::memcpy(to, from, bytes);
    }
    void download(void* to, const std::byte* from, std::size_t bytes) {
        if (driver_)
            driver_->download(to, from, static_cast<std::int64_t>(bytes));
        else
            std::memcpy(to, from, bytes);
    }

  private:
    QTemporaryDir cache_;
    std::unique_ptr<StandIn> stand_in_;
    std::shared_ptr<const qlora::kernels::cuda::Driver> driver_;
    std::unique_ptr<qlora::kernels::cuda::GpuRunner> gpu_;
    std::vector<std::byte*> memory_;
};

// Numbers on the device, between two strips that no kernel may write to.
template <class T>
class OnDevice {
  public:
    OnDevice(CudaDevice& device, const std::vector<T>& values) : device_(device), count_(values.size()) {
        std::vector<std::byte> all(bytes() + 2 * strip, mark);
        std::memcpy(all.data() + strip, values.data(), bytes());
        begin_ = device.allocate(all.size());
        device.upload(begin_, all.data(), all.size());
    }
    OnDevice(CudaDevice& device, std::size_t count, T value = T{}) : OnDevice(device, std::vector<T>(count, value)) {}

    operator T*() const { return reinterpret_cast<T*>(begin_ + strip); }
    std::vector<T> get() const {
        std::vector<std::byte> all(bytes() + 2 * strip);
        device_.download(all.data(), begin_, all.size());
        for (std::size_t i = 0; i < strip; ++i)
            if (all[i] != mark || all[strip + bytes() + i] != mark)
                throw std::logic_error("a kernel wrote beside its numbers");
        std::vector<T> values(count_);
        std::memcpy(values.data(), all.data() + strip, bytes());
        return values;
    }

  private:
    static constexpr std::size_t strip = 64;
    static constexpr std::byte mark{0xA5};
    std::size_t bytes() const { return count_ * sizeof(T); }

    CudaDevice& device_;
    std::size_t count_;
    std::byte* begin_;
};

using Floats = std::vector<float>;
using Bytes = std::vector<std::uint8_t>;

inline std::size_t size(std::int64_t n) {
    return static_cast<std::size_t>(n);
}

// The largest difference, relative to numbers above 1.
inline double furthest(const Floats& got, const Floats& wanted) {
    double most = 0;
    for (std::size_t i = 0; i < wanted.size(); ++i)
        most = std::max(most, std::isnan(got[i])
                                  ? INFINITY
                                  : std::abs(double{got[i]} - wanted[i]) / (1 + std::abs(double{wanted[i]})));
    return most;
}

#define CUDA_DEVICE(name)                                   \
    QFETCH(QString, where);                                 \
    std::unique_ptr<CudaDevice> name##_place;               \
    try {                                                   \
        name##_place = std::make_unique<CudaDevice>(where); \
    } catch (const std::runtime_error& error) {             \
        if (where == "GPU") QSKIP(error.what());            \
        throw;                                              \
    }                                                       \
    CudaDevice& name = *name##_place;
