#include "ui/dialogs/dialogs.h"

#include <QFileDialog>
#include <QMessageBox>
#include <QPushButton>

#include "ui/widgets/elided_label.h"

namespace qlora::ui {

QString SystemDialogs::open_file(QWidget* parent, const QString& title, const QString& folder, const QString& filter) {
    return QFileDialog::getOpenFileName(parent, title, folder, filter);
}

QString SystemDialogs::open_folder(QWidget* parent, const QString& title, const QString& folder) {
    return QFileDialog::getExistingDirectory(parent, title, folder);
}

QString SystemDialogs::save_file(QWidget* parent, const QString& title, const QString& proposed, const QString& filter) {
    return QFileDialog::getSaveFileName(parent, title, proposed, filter);
}

int SystemDialogs::ask(QWidget* parent, const Question& question) {
    QMessageBox box(parent);
    box.setWindowTitle(question.title);
    box.setTextFormat(Qt::PlainText);
    box.setText(question.text);
    QList<QPushButton*> buttons;
    const int last = int(question.buttons.size()) - 1;
    for (int i = 0; i <= last; ++i) {
        auto role = i == last ? QMessageBox::RejectRole : i == question.dangerous ? QMessageBox::DestructiveRole
                                                                                : QMessageBox::AcceptRole;
        buttons << box.addButton(question.buttons[i], role);
        if (i == question.dangerous) set_look(buttons.back(), "danger");
    }
    box.setEscapeButton(buttons.back());
    box.setDefaultButton(question.dangerous >= 0 ? buttons.back() : buttons.front());
    box.exec();
    const int pressed = int(buttons.indexOf(qobject_cast<QPushButton*>(box.clickedButton())));
    return pressed < 0 ? last : pressed;
}

}  // namespace qlora::ui
