#pragma once
// One side of a conversation: the messages of the user and of one model, the last of which may be growing. UI thread only.

#include <QAbstractListModel>
#include <vector>

#include "core/evaluate/chat.h"

namespace qlora::ui {

class ChatModel : public QAbstractListModel {
    Q_OBJECT

  public:
    enum Role {
        SpeakerRole = Qt::UserRole + 1,  // bool: true for the model, false for the user
        StreamingRole,                   // bool: text still comes
        FailedRole,                      // bool: the text is an error's
        FigureRole,                      // "42 tokens · 31.5 tok/s · stopped by you", empty while streaming
    };

    // `name` is who answers, for screen readers: "Base model".
    explicit ChatModel(QString name, QObject* parent = nullptr);

    void ask(const QString& prompt);      // a user's message and an empty answer that append() fills
    void append(const QString& piece);    // nothing happens without a streaming answer
    void finish(const evaluate::GenerateResult& result);
    void stop();                          // the streaming answer ends with what it has
    void fail(const QString& message);
    void clear();

    bool streaming() const;
    // What the engine gets: all turns that have an answer, then the last prompt.
    std::vector<evaluate::Message> history() const;

    int rowCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;

  private:
    enum class State { done, streaming, failed };
    struct Entry {
        bool model = false;
        QString text, figure;
        State state = State::done;
    };
    void changed();

    QString name_;
    std::vector<Entry> entries_;
};

}  // namespace qlora::ui
