#pragma once
// A tuned model to measure and to talk to, as requests and queued signals: everything runs in the background.

#include <QObject>
#include <QString>
#include <filesystem>
#include <vector>

#include "core/base/error.h"
#include "core/evaluate/chat.h"

namespace qlora::ui {

// One side of the two-pane chat.
enum class Side { base, tuned };

// UI thread only. Ask for one thing at a time: measuring lets go of the chat's model, since two may not fit in memory.
class ChatService : public QObject {
    Q_OBJECT

  public:
    using QObject::QObject;

    // Which run answers: its recipe and its adapter. The model is loaded at the first request that needs it, and let go
    // when another run is chosen or release() is called. Followed by trained() once the run's own figures are read.
    virtual void choose(const std::filesystem::path& run_folder) = 0;
    virtual void release() = 0;

    // Base and tuned over the held-out rows: progressed() ..., then measured(), cancelled() or failed().
    virtual void measure(const evaluate::ReportOptions& options) = 0;
    virtual void cancel_measuring() = 0;

    // Answers both conversations, the base model's first: piece() ..., answered() a side, then chat_ended(). stop_chat()
    // ends it early; what was generated so far is answered() with stop "stopped".
    virtual void ask(const std::vector<evaluate::Message>& base, const std::vector<evaluate::Message>& tuned,
                     const evaluate::GenerateOptions& options) = 0;
    virtual void stop_chat() = 0;

  signals:
    void trained(const qlora::evaluate::Report& report);  // evaluate::training_report() of the chosen run

    void progressed(const QString& what, double done, double total);
    void measured(const qlora::evaluate::Report& report);
    void cancelled();
    void failed(const qlora::Error& error);

    void loading(const QString& what, double done, double total);
    void piece(qlora::ui::Side side, const QString& text);
    void answered(qlora::ui::Side side, const qlora::evaluate::GenerateResult& result);
    void chat_failed(const qlora::Error& error);
    void chat_ended();
};

}  // namespace qlora::ui
