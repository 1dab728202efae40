#include "ui/engine/core_chat_service.h"

#include <utility>

#include "core/recipe/recipe.h"

namespace qlora::ui {

namespace {

evaluate::LoadOptions load_options(const std::filesystem::path& folder) {
    auto options = evaluate::LoadOptions::of(recipe::load(folder / "recipe.json"));
    options.adapter = folder / "adapter";
    return options;
}

}  // namespace

CoreChatService::CoreChatService(QObject* parent) : ChatService(parent) {
    connect(&history_task_, &Task::failed, this, &ChatService::failed);
    connect(&measure_task_, &Task::progressed, this, &ChatService::progressed);
    connect(&measure_task_, &Task::cancelled, this, &ChatService::cancelled);
    connect(&measure_task_, &Task::failed, this, &ChatService::failed);
    connect(&chat_task_, &Task::progressed, this, &ChatService::loading);
    connect(&chat_task_, &Task::finished, this, &ChatService::chat_ended);
    connect(&chat_task_, &Task::failed, this, [this](const Error& error) {
        emit chat_failed(error);
        emit chat_ended();
    });
}

CoreChatService::~CoreChatService() = default;

void CoreChatService::choose(const std::filesystem::path& run_folder) {
    if (run_folder == folder_) return;
    release();
    folder_ = run_folder;
    history_task_.start([this, run_folder](Worker& worker) {
        worker.post([this, report = evaluate::training_report(run_folder)] { emit trained(report); });
    });
}

void CoreChatService::release() {
    measure_task_.cancel();
    if (chat_task_.running()) {
        chat_task_.cancel();
        emit chat_ended();
    }
    // Freeing the weights takes a while: not on this thread.
    if (session_) freeing_task_.start([last = std::exchange(session_, nullptr)](Worker&) mutable { last.reset(); });
}

void CoreChatService::measure(const evaluate::ReportOptions& options) {
    measure_task_.start([this, options, folder = folder_, session = std::exchange(session_, nullptr)](Worker& worker) mutable {
        // The report loads a model of its own: two at a time may not fit.
        session.reset();
        const auto recipe = recipe::load(folder / "recipe.json");
        const auto report =
            evaluate::report(recipe, folder / "adapter", options, worker.control(), worker.progress());
        worker.post([this, report] { emit measured(report); });
    });
}

void CoreChatService::cancel_measuring() { measure_task_.cancel(); }

void CoreChatService::ask(const std::vector<evaluate::Message>& base, const std::vector<evaluate::Message>& tuned,
                          const evaluate::GenerateOptions& options) {
    chat_task_.start([=, this, folder = folder_, session = session_](Worker& worker) mutable {
        if (!session) {
            session = evaluate::Session::load(load_options(folder), worker.control(), worker.progress());
            worker.post([this, session] { session_ = session; });
        }
        for (const Side side : {Side::base, Side::tuned}) {
            if (worker.control().request() != Control::Request::none) return;
            const auto result = session->chat(
                side == Side::base ? base : tuned, side == Side::tuned, options, worker.control(),
                [&](const std::string& text) {
                    worker.post([this, side, text = QString::fromStdString(text)] { emit piece(side, text); });
                });
            worker.post([this, side, result] { emit answered(side, result); });
        }
    });
}

void CoreChatService::stop_chat() { chat_task_.stop(); }

}  // namespace qlora::ui
