#include "core/parallel/group.h"

#define USE_C10D_GLOO
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#if QLORA_CUDA
#define USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <cstring>
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

// What LibTorch says goes on with a trace of its functions.
std::string first_line(const char* text) { return std::string(text, std::strcspn(text, "\n")); }

c10::intrusive_ptr<c10d::Store> open_store(const Environment& environment, const std::function<void()>& look) {
    c10d::TCPStoreOptions options;
    options.port = environment.port;
    options.isServer = environment.rank == 0 && !environment.served;
    options.waitWorkers = false;
    options.timeout = environment.patience;
    if (options.isServer && environment.listener >= 0) options.masterListenFd = environment.listener;
    if (!options.isServer)
        while (!listens(environment.address, environment.port)) look();
    const std::string place = environment.address + " port " + std::to_string(environment.port);
    try {
        c10::intrusive_ptr<c10d::Store> store = c10::make_intrusive<c10d::TCPStore>(environment.address, options);
        return c10::make_intrusive<c10d::PrefixStore>(environment.prefix, store);
    } catch (const std::exception& error) {
        if (options.isServer)
            throw failure("parallel.port", "MASTER_PORT", "process 0 cannot listen at " + place + ": " + first_line(error.what()),
                          "Choose another port, one that no program uses.");
        throw failure("parallel.join", "MASTER_ADDR", "process 0 cannot be reached at " + place + ": " + first_line(error.what()),
                      "Check that it runs, and that the network lets its port through.");
    }
}

}  // namespace

struct Group::Links {
    c10::intrusive_ptr<c10d::Store> store;
    c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo;
    c10::intrusive_ptr<c10d::Backend> nccl;  // made when the first tensor on a GPU comes

    c10d::Backend& of(const Tensor& tensor, const Environment& environment) {
#if QLORA_CUDA
        if (tensor.is_cuda()) {
            if (!nccl)
                nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(c10::make_intrusive<c10d::PrefixStore>("nccl", store), environment.rank,
                                                                  environment.size);
            return *nccl;
        }
#endif
        return *gloo;
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
    std::string why = first_line(error.what());
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

void Group::sum(Tensor& tensor) {
    if (alone()) return;
    c10d::AllreduceOptions options;
    options.timeout = as_long_as_it_takes;
    try {
        std::vector<Tensor> tensors{tensor};
        links_->of(tensor, environment_).allreduce(tensors, options)->wait();
    } catch (const std::exception& error) {
        lost(error);
    }
}

void Group::broadcast(Tensor& tensor) {
    if (alone()) return;
    c10d::BroadcastOptions options;
    options.timeout = as_long_as_it_takes;
    try {
        std::vector<Tensor> tensors{tensor};
        links_->of(tensor, environment_).broadcast(tensors, options)->wait();
    } catch (const std::exception& error) {
        lost(error);
    }
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
