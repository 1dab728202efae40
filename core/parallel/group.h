#pragma once
// The processes that train one model together, each on its share of every batch (data-parallel training; Li et al. 2020, "PyTorch
// Distributed"), over c10d: Gloo for tensors in the computer's memory, NCCL for those on a GPU, where the build has it. Every process
// makes the same calls in the same order, on one thread. A group of one does nothing.

#include <torch/types.h>

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "core/base/control.h"
#include "core/parallel/environment.h"

namespace qlora::parallel {

// All but the constructor throw failure "parallel.lost" when another process has ended or cannot be reached.
class Group {
  public:
    // Waits until all processes have come. Calls `waiting` some 20 times a second meanwhile, which may throw. Throws failure
    // "parallel.join" when they do not come within the environment's patience, "parallel.port" when rank 0 cannot listen,
    // "parallel.address" where the name leads nowhere; input_error "parallel.environment" when two have the same rank.
    explicit Group(const Environment& environment, const std::function<void()>& waiting = {});
    ~Group();
    Group(const Group&) = delete;
    Group& operator=(const Group&) = delete;

    int rank() const { return environment_.rank; }
    int size() const { return environment_.size; }
    bool alone() const { return environment_.alone(); }
    bool first() const { return rank() == 0; }
    std::string name() const;  // "process 1 of 2", counted from 0

    // Does this process's part of some work, in which there is no other call of this object but poll(); then adds each of
    // `sums` over all. A request to stop, in whichever process, reaches the control of each, and all throw stopped();
    // `sums` are then of no use.
    void together(Control& control, const std::function<void()>& work, std::span<double> sums = {});
    // Within such work: throws stopped() soon after some process was asked to stop.
    void poll();

    // Every process's tensor becomes the sum of all, the same bits everywhere. Contiguous.
    void sum(torch::Tensor& tensor);
    // Every process's tensor becomes that of rank 0; of the same shape and dtype. Contiguous.
    void broadcast(torch::Tensor& tensor);
    // Rank 0's text.
    std::string broadcast(const std::string& text);

    // Tells the others why this process goes; best effort, throws nothing.
    void leave(const std::string& why) noexcept;

  private:
    struct Links;
    [[noreturn]] void lost(const std::exception& error) const;
    template <typename Call>
    void send(torch::Tensor& tensor, const Call& call);

    const Environment environment_;
    std::unique_ptr<Links> links_;  // null: alone
};

}  // namespace qlora::parallel
