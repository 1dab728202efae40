#pragma once
// qlora as its users start it, for the tests of its commands.

#include <QProcess>
#include <QTemporaryDir>
#include <memory>
#include <vector>

#include "core/base/json.h"

namespace qlora::tests {

// Starts it in `folder`, which is its home too, with --json. One thread by default: two that wait for each other in a loop crawl
// on a computer that is busy with other tests.
inline std::unique_ptr<QProcess> start_program(const QTemporaryDir& folder, const QStringList& arguments, int threads = 1) {
    auto process = std::make_unique<QProcess>();
    auto environment = QProcessEnvironment::systemEnvironment();
    environment.insert("QLORA_HOME", folder.filePath("home"));
    environment.insert("QLORA_DEPS", QLORA_DEPS_DIR);
    process->setProcessEnvironment(environment);
    process->setWorkingDirectory(folder.path());
    process->start(QLORA_PROGRAM, arguments + QStringList{"--json", "--threads", QString::number(threads)});
    return process;
}

inline std::vector<Json> lines(const QByteArray& out) {
    std::vector<Json> all;
    for (const QByteArray& line : out.trimmed().split('\n')) all.push_back(parse_json(line.toStdString(), "stdout"));
    return all;
}

// Waits for its end; the answer's lines. The exit code, or -1 where it was killed, goes to `exit`.
inline std::vector<Json> run_program(const QTemporaryDir& folder, const QStringList& arguments, int& exit, int patience, int threads = 1) {
    const auto process = start_program(folder, arguments, threads);
    process->waitForFinished(patience);
    exit = process->exitStatus() == QProcess::NormalExit ? process->exitCode() : -1;
    return lines(process->readAllStandardOutput());
}

inline std::vector<Json> of_kind(const std::vector<Json>& events, const char* kind) {
    std::vector<Json> found;
    for (const Json& event : events)
        if (event.value("event", "") == kind) found.push_back(event);
    return found;
}

}  // namespace qlora::tests
