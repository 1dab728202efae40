#pragma once
// ChatService over core/evaluate.

#include <memory>

#include "ui/engine/chat_service.h"
#include "ui/engine/task.h"

namespace qlora::ui {

class CoreChatService : public ChatService {
    Q_OBJECT

  public:
    explicit CoreChatService(QObject* parent = nullptr);
    ~CoreChatService() override;

    void choose(const std::filesystem::path& run_folder) override;
    void release() override;
    void measure(const evaluate::ReportOptions& options) override;
    void cancel_measuring() override;
    void ask(const std::vector<evaluate::Message>& base, const std::vector<evaluate::Message>& tuned,
             const evaluate::GenerateOptions& options) override;
    void stop_chat() override;

  private:
    std::filesystem::path folder_;
    std::shared_ptr<evaluate::Session> session_;  // of folder_; null until the first question
    Task history_task_, measure_task_, chat_task_, freeing_task_;
};

}  // namespace qlora::ui
