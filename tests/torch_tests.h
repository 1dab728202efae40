#pragma once
// LibTorch and Qt Test in one file: Qt's keyword `slots` is a member's name in LibTorch.
#include <torch/torch.h>

#undef slots
#include <QtTest>
#define slots Q_SLOTS

// The code of the qlora::Error that `f` throws; empty when it throws none.
#include "core/base/error.h"
template <typename F>
std::string code_of(F f) {
    try {
        f();
    } catch (const qlora::Error& error) {
        return error.code();
    }
    return {};
}

inline std::string golden(const char* name) { return std::string(QLORA_SOURCE_DIR "/tests/golden/") + name; }
