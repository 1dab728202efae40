#pragma once
// Where tests find NVIDIA's run-time compiler.

#include <QDir>
#include <QDirIterator>
#include <string>

// The library of QLORA_NVRTC, or of the wheel that ./dev test fetches; empty: neither is there.
inline std::string nvrtc_wheel() {
    if (const QByteArray given = qgetenv("QLORA_NVRTC"); !given.isEmpty()) return given.toStdString();
    QDirIterator found(QLORA_DEPS_DIR "/nvrtc", {"libnvrtc.so.*"}, QDir::Files, QDirIterator::Subdirectories);
    return found.hasNext() ? found.next().toStdString() : std::string();
}
