#include "ui/shell/latency_probe.h"

#include <algorithm>

namespace qlora::ui {

namespace {
constexpr int interval_ms = 5;
}

LatencyProbe::LatencyProbe(QObject* parent) : QObject(parent) {
    timer_.setTimerType(Qt::PreciseTimer);
    timer_.setInterval(interval_ms);
    connect(&timer_, &QTimer::timeout, this, [this] {
        worst_ms_ = std::max(worst_ms_, double(since_.nsecsElapsed()) / 1e6 - interval_ms);
        since_.restart();
    });
}

void LatencyProbe::start() {
    worst_ms_ = 0;
    since_.restart();
    timer_.start();
}

}  // namespace qlora::ui
