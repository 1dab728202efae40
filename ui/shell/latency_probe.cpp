#include "ui/shell/latency_probe.h"

#include <algorithm>

namespace qlora::ui {

namespace {
constexpr int interval_ms = 5;
}

LatencyProbe::LatencyProbe(QObject* parent)
    : QObject(parent), schedule_(QStringLiteral("/proc/thread-self/schedstat")) {
    timer_.setTimerType(Qt::PreciseTimer);
    timer_.setInterval(interval_ms);
    connect(&timer_, &QTimer::timeout, this, [this] {
        const qint64 waited = waited_ns();
        const double gap_ms = double(since_.nsecsElapsed() - (waited - waited_before_)) / 1e6 - interval_ms;
        worst_ms_ = std::max(worst_ms_, gap_ms);
        waited_before_ = waited;
        since_.restart();
    });
}

void LatencyProbe::start() {
    worst_ms_ = 0;
    waited_before_ = waited_ns();
    since_.restart();
    timer_.start();
}

qint64 LatencyProbe::waited_ns() {
    if (!schedule_.open(QIODevice::ReadOnly | QIODevice::Unbuffered)) return 0;
    const QList<QByteArray> numbers = schedule_.readLine(128).simplified().split(' ');  // ran, waited, slices
    schedule_.close();
    return numbers.size() > 1 ? numbers[1].toLongLong() : 0;
}

}  // namespace qlora::ui
