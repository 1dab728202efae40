#include "core/parallel/group.h"

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if QLORA_NCCL
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <algorithm>
#include <thread>

#include "core/base/error.h"
#include "core/parallel/network.h"

namespace qlora::parallel {

using Clock = std::chrono::steady_clock;
using torch::Tensor;

namespace {

// A process that pauses lets the others wait; one that ends is noticed by its closed connections.
constexpr std::chrono::milliseconds as_long_as_it_takes = std::chrono::hours(24 * 30);
constexpr std::chrono::milliseconds between_looks{50};

// What went wrong, of a message that names LibTorch's source files before it and gives advice and a trace behind it.
std::string essence(const std::exception& error) {
    std::string text = error.what();
    text = text.substr(0, text.find('\n'));
    text = text.substr(0, text.find(". This is typically"));
    const auto place = text.starts_with("[/") ? text.find("] ") : std::string::npos;
    return place == std::string::npos ? text : text.substr(place + 2);
}

c10::intrusive_ptr<c10d::Store> open_store(const Environment& environment, const std::function<void()>& look) {
    c10d::TCPStoreOptions options;
    options.port = environment.port;
    options.isServer = environment.rank == 0 && !environment.served;
    options.waitWorkers = false;
    options.timeout = environment.patience;
    if (options.isServer && environment.listener >= 0) options.masterListenFd = environment.listener;
    own_address(environment.address, environment.port);  // a name that leads nowhere is told at once
    if (!options.isServer)
        while (!listens(environment.address, environment.port)) look();
    const std::string place = environment.address + " port " + std::to_string(environment.port);
    try {
        c10::intrusive_ptr<c10d::Store> store =
            c10::make_intrusive<c10d::TCPStore>(options.isServer ? "127.0.0.1" : environment.address, options);
        return c10::make_intrusive<c10d::PrefixStore>(environment.prefix, store);
    } catch (const std::exception& error) {
        if (options.isServer)
            throw failure("parallel.port", "MASTER_PORT", "process 0 cannot listen at " + place + ": " + essence(error),
                          "Choose another port, one that no program uses.");
        throw failure("parallel.join", "MASTER_ADDR", "process 0 cannot be reached at " + place + ": " + essence(error),
                      "Check that it runs, and that the network lets its port through.");
    }
}

}  // namespace

struct Group::Links {
    c10::intrusive_ptr<c10d::Store> store;
    c10::intrusive_ptr<c10d::Backend> gloo;
    c10::intrusive_ptr<c10d::Backend> nccl;  // made when the first tensor on a GPU comes

    // What sends tensors of this device; null: nothing does, they must go through the computer's memory.
    c10d::Backend* of(torch::Device device, const Environment& environment) {
        if (device.is_cpu()) return gloo.get();
#if QLORA_NCCL
        if (device.is_cuda() && !nccl)
            nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store), environment.rank,
                                                              environment.size);
#endif
        return nccl.get();
    }
};

Group::Group(const Environment& environment, const std::function<void()>& waiting) : environment_(environment) {
    if (alone()) return;
    const auto begun = Clock::now();
    std::int64_t come = 0;
    const auto look = [&] {
        if (waiting) waiting();
        if (Clock::now() - begun > environment.patience)
            throw failure("parallel.join", "WORLD_SIZE",
                          come == 0 ? name() + " found nobody listening at " + environment.address + " port " + std::to_string(environment.port)
                                    : "expected " + std::to_string(size()) + " processes, got " + std::to_string(come),
                          "Start them all with the same MASTER_ADDR, MASTER_PORT and WORLD_SIZE.");
        std::this_thread::sleep_for(between_looks);
    };
    links_ = std::make_unique<Links>();
    links_->store = open_store(environment, look);
    const std::string mine = "rank/" + std::to_string(rank());
    try {
        if (links_->store->add(mine, 1) > 1)
            throw input_error("parallel.environment", "RANK", "expected a rank of its own for each process, got " + std::to_string(rank()) + " twice",
                              "Give each process another RANK, from 0 to WORLD_SIZE - 1.");
        for (come = links_->store->add("come", 1); come < size(); come = links_->store->add("come", 0)) look();
        auto options = c10d::ProcessGroupGloo::Options::create(environment.patience);
        options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(own_address(environment.address, environment.port)));
        links_->gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(c10::make_intrusive<c10d::PrefixStore>("gloo", links_->store), rank(),
                                                                  size(), options);
    } catch (const Error&) {
        throw;
    } catch (const std::exception& error) {
        lost(error);
    }
}

Group::~Group() = default;

std::string Group::name() const { return "process " + std::to_string(rank()) + " of " + std::to_string(size()); }

void Group::lost(const std::exception& error) const {
    std::string why = essence(error);
    try {
        if (links_->store->check({"left"})) why = links_->store->get_to_str("left");
    } catch (const std::exception&) {
        // Whoever kept it is the one that has gone.
    }
    throw failure("parallel.lost", name(), "the connection to another process is lost: " + why,
                  "Go on from the newest checkpoint with --resume, with any number of processes.");
}

void Group::leave(const std::string& why) noexcept {
    if (alone()) return;
    try {
        links_->store->compareSet("left", "", name() + " ended: " + why);
    } catch (const std::exception&) {
        // The others will see the closed connection.
    }
}

void Group::poll() {
    if (alone()) return;
    bool asked = false;
    try {
        asked = links_->store->check({"stop"});
    } catch (const std::exception& error) {
        lost(error);
    }
    if (asked) throw stopped();
}

void Group::together(Control& control, const std::function<void()>& work, std::span<double> sums) {
    if (alone()) return work();
    try {
        work();
    } catch (const Error& error) {
        if (error.kind() != Error::Kind::stopped) throw;
        try {
            links_->store->set("stop", "asked");
        } catch (const std::exception& gone) {
            lost(gone);
        }
    }
    const auto request = control.request();
    Tensor numbers = torch::zeros({static_cast<std::int64_t>(sums.size()) + 2}, torch::kFloat64);
    double* n = numbers.data_ptr<double>();
    std::copy(sums.begin(), sums.end(), n);
    double &save = n[sums.size()], &stop = n[sums.size() + 1];
    save = request == Control::Request::stop_and_save;
    stop = request == Control::Request::stop;
    sum(numbers);
    std::copy(n, n + sums.size(), sums.begin());
    if (stop > 0) control.stop();
    else if (save > 0) control.stop_and_save();
    if (stop > 0 || save > 0) throw stopped();
}

template <typename Call>
void Group::send(Tensor& tensor, const Call& call) {
    if (alone()) return;
    try {
        c10d::Backend* backend = links_->of(tensor.device(), environment_);
        std::vector<Tensor> tensors{backend != nullptr ? tensor : tensor.cpu()};
        call(backend != nullptr ? *backend : *links_->gloo, tensors)->wait();
        if (backend == nullptr) tensor.copy_(tensors.front());
    } catch (const std::exception& error) {
        lost(error);
    }
}

void Group::sum(Tensor& tensor) {
    c10d::AllreduceOptions options;
    options.timeout = as_long_as_it_takes;
    send(tensor, [&](c10d::Backend& backend, std::vector<Tensor>& tensors) { return backend.allreduce(tensors, options); });
}

void Group::broadcast(Tensor& tensor) {
    c10d::BroadcastOptions options;
    options.timeout = as_long_as_it_takes;
    send(tensor, [&](c10d::Backend& backend, std::vector<Tensor>& tensors) { return backend.broadcast(tensors, options); });
}

std::string Group::broadcast(const std::string& text) {
    if (alone()) return text;
    Tensor length = torch::full({1}, static_cast<std::int64_t>(text.size()), torch::kInt64);
    broadcast(length);
    Tensor bytes = torch::empty({length.item<std::int64_t>()}, torch::kUInt8);
    if (bytes.numel() == 0) return {};
    auto* data = reinterpret_cast<char*>(bytes.data_ptr<std::uint8_t>());
    if (first()) std::copy(text.begin(), text.end(), data);
    broadcast(bytes);
    return std::string(data, static_cast<std::size_t>(bytes.numel()));
}

}  // namespace qlora::parallel
