// The application's style sheet, generated from the tokens. Widgets choose a look by the property "look"
// ("primary", "danger", "quiet", "card", "dim", "title", "card-title", "figure", "notice", "invalid").
#include "ui/theme/theme.h"

namespace qlora::theme {

namespace {

constexpr auto rules = R"(
QWidget { color: @text; }
QMainWindow, QDialog { background: @window; }
QLabel { background: transparent; }
QLabel[look="dim"] { color: @dim; font-size: 12px; }
QLabel[look="title"] { font-size: 20px; font-weight: 600; }
QLabel[look="card-title"] { font-size: 15px; font-weight: 600; }
QLabel[look="sentence"] { font-size: 15px; }
QLabel[look="good"] { color: @good; font-weight: 600; }
QLabel[look="warning"] { color: @warning; }
QLabel[look="bad"] { color: @bad; }
QLabel[look="chip"] { color: @dim; font-size: 12px; border: 1px solid @line; border-radius: 9px; padding: 1px 8px; }

QFrame[look="card"] { background: @card; border: 1px solid @line; border-radius: 6px; }
QFrame[look="panel"] { background: @card; border: none; border-left: 1px solid @line; }
QFrame[look="rail"] { background: @card; border: none; border-right: 1px solid @line; }
QFrame[look="inset"] { background: @window; border: 1px solid @line; border-radius: 6px; }
QFrame[look="notice-bad"] { background: @bad_tint; border: 1px solid @bad; border-radius: 6px; }
QFrame[look="notice-warning"] { background: @warning_tint; border: 1px solid @warning; border-radius: 6px; }
QFrame[look="popover"] { background: @card; border: 1px solid @edge; border-radius: 6px; }
QFrame[look="separator"] { background: @line; border: none; max-height: 1px; min-height: 1px; }

QPushButton { background: @card; border: 1px solid @edge; border-radius: 6px; padding: 4px 12px; min-height: 20px; }
QPushButton:hover { background: @hover; }
QPushButton:pressed { background: @pressed; }
QPushButton:focus { border: 2px solid @accent; padding: 3px 11px; }
QPushButton:disabled { color: @dim; border-color: @line; background: @window; }
QPushButton[look="primary"] { background: @accent; color: @on_accent; border: 1px solid @accent; font-weight: 600; }
QPushButton[look="primary"]:hover { background: @accent_hover; }
QPushButton[look="primary"]:focus { border: 2px solid @text; }
QPushButton[look="primary"]:disabled { background: @line; color: @dim; border-color: @line; }
QPushButton[look="danger"] { color: @bad; border-color: @bad; }
QPushButton[look="quiet"] { background: transparent; border: 1px solid transparent; }
QPushButton[look="quiet"]:hover { background: @hover; }
QPushButton[look="quiet"]:focus { border: 2px solid @accent; }
QPushButton::menu-indicator { image: url(:/theme/down-@scheme.svg); width: 10px; height: 10px;
    subcontrol-origin: padding; subcontrol-position: right center; right: 6px; }
QPushButton[menu="true"] { padding-right: 24px; }
QToolButton { background: transparent; border: 1px solid transparent; border-radius: 6px; padding: 4px; }
QToolButton:hover { background: @hover; }
QToolButton:pressed, QToolButton:checked { background: @pressed; }
QToolButton:focus { border: 2px solid @accent; padding: 3px; }
QToolButton::menu-indicator { image: none; }

QLineEdit, QAbstractSpinBox, QComboBox, QPlainTextEdit, QTextEdit {
    background: @card; border: 1px solid @edge; border-radius: 6px; padding: 4px 8px; min-height: 20px;
    selection-background-color: @accent; selection-color: @on_accent; }
QLineEdit:focus, QAbstractSpinBox:focus, QComboBox:focus, QPlainTextEdit:focus, QTextEdit:focus {
    border: 2px solid @accent; padding: 3px 7px; }
QLineEdit:disabled, QAbstractSpinBox:disabled, QComboBox:disabled { color: @dim; background: @window; border-color: @line; }
*[invalid="true"] { border: 2px solid @bad; padding: 3px 7px; }
QAbstractSpinBox QLineEdit, QComboBox QLineEdit { border: none; padding: 0px; background: transparent; min-height: 18px; }
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button { width: 18px; border: none; background: transparent; }
QAbstractSpinBox::up-button:hover, QAbstractSpinBox::down-button:hover { background: @hover; }
QAbstractSpinBox::up-arrow { image: url(:/theme/up-@scheme.svg); width: 10px; height: 10px; }
QAbstractSpinBox::down-arrow { image: url(:/theme/down-@scheme.svg); width: 10px; height: 10px; }
QComboBox { combobox-popup: 0; }
QComboBox::drop-down { border: none; width: 24px; }
QComboBox::down-arrow { image: url(:/theme/down-@scheme.svg); width: 12px; height: 12px; }
QComboBox QAbstractItemView { background: @card; border: 1px solid @edge; padding: 4px; outline: 0; }
QComboBox QAbstractItemView::item { min-height: 26px; padding: 0 6px; border-radius: 4px; color: @text; }
QComboBox QAbstractItemView::item:selected { background: @selection; }
QCheckBox { spacing: 8px; background: transparent; padding: 3px; border: 1px solid transparent; border-radius: 6px; }
QCheckBox:focus { border-color: @accent; }
QCheckBox::indicator, QTreeView::indicator { width: 16px; height: 16px; border: 1px solid @edge; border-radius: 4px;
    background: @card; }
QCheckBox::indicator:hover, QTreeView::indicator:hover { border-color: @accent; }
QCheckBox::indicator:checked, QTreeView::indicator:checked { background: @accent; border-color: @accent;
    image: url(:/theme/check-@scheme.svg); }
QTreeView::indicator:indeterminate { background: @accent; border-color: @accent; image: url(:/theme/dash-@scheme.svg); }
QTreeView::branch { background: transparent; }
QTreeView::branch:has-children:closed { image: url(:/theme/right-@scheme.svg); }
QTreeView::branch:has-children:open { image: url(:/theme/down-@scheme.svg); }

QScrollArea, QScrollArea > QWidget > QWidget { background: transparent; border: none; }
QScrollBar:vertical { width: 10px; background: transparent; margin: 0; }
QScrollBar:horizontal { height: 10px; background: transparent; margin: 0; }
QScrollBar::handle { background: @edge; border-radius: 3px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: @dim; }
QScrollBar::add-line, QScrollBar::sub-line, QScrollBar::add-page, QScrollBar::sub-page { background: none; border: none; width: 0; height: 0; }

QAbstractItemView { background: @card; border: 1px solid @line; border-radius: 6px; outline: 0;
    alternate-background-color: @stripe; gridline-color: @line;
    selection-background-color: @selection; selection-color: @text; }
QAbstractItemView:focus { border-color: @accent; }
QHeaderView { background: @card; border: none; }
QHeaderView::section { background: @card; color: @dim; border: none; border-bottom: 1px solid @line; padding: 6px 8px;
    font-size: 12px; text-align: left; }
QHeaderView::up-arrow { image: url(:/theme/up-@scheme.svg); width: 10px; height: 8px; subcontrol-position: top center; }
QHeaderView::down-arrow { image: url(:/theme/down-@scheme.svg); width: 10px; height: 8px; subcontrol-position: top center; }
QTableView::item, QListView::item { padding: 4px 8px; }
QTableCornerButton::section { background: @card; border: none; }

QMenu { background: @card; border: 1px solid @edge; padding: 4px; }
QMenu::item { padding: 6px 24px 6px 12px; border-radius: 4px; }
QMenu::item:selected { background: @selection; }
QMenu::item:disabled { color: @dim; }
QMenu::separator { height: 1px; background: @line; margin: 4px 8px; }
QMenu::indicator { width: 14px; height: 14px; margin-left: 6px; }
QMenu::indicator:checked { image: url(:/theme/tick-@scheme.svg); }
QToolTip { background: @card; color: @text; border: 1px solid @edge; padding: 4px 6px; }
QProgressBar { background: @line; border: none; border-radius: 3px; max-height: 6px; min-height: 6px; }
QProgressBar::chunk { background: @accent; border-radius: 3px; }
QSplitter::handle { background: @line; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QTabBar::tab { background: transparent; padding: 6px 12px; border: none; border-bottom: 2px solid transparent; color: @dim; }
QTabBar::tab:selected { color: @text; border-bottom-color: @accent; }
QTabBar::tab:focus { color: @accent; }
QTabWidget::pane { border: none; }
QMessageBox QLabel { min-width: 320px; }
)";

}  // namespace

QString style_sheet(const Tokens& tokens) {
    // Longer names first, so that no name is replaced inside another.
    const std::pair<const char*, QColor> colors[] = {
        {"@accent_hover", tokens.dark ? tokens.accent.lighter(112) : tokens.accent.darker(112)},
        {"@warning_tint", tokens.tint(tokens.warning, 0.10)},
        {"@bad_tint", tokens.tint(tokens.bad, 0.10)},
        {"@on_accent", tokens.on_accent},
        {"@selection", tokens.tint(tokens.accent, 0.18)},
        {"@pressed", tokens.pressed()},
        {"@warning", tokens.warning},
        {"@stripe", tokens.tint(tokens.text, 0.03)},
        {"@window", tokens.window},
        {"@accent", tokens.accent},
        {"@hover", tokens.hover()},
        {"@edge", tokens.control_line()},
        {"@good", tokens.good},
        {"@card", tokens.card},
        {"@line", tokens.line},
        {"@text", tokens.text},
        {"@dim", tokens.dim},
        {"@bad", tokens.bad},
    };
    QString sheet = QString::fromLatin1(rules);
    for (const auto& [name, color] : colors) sheet.replace(QLatin1String(name), color.name());
    return sheet.replace(QLatin1String("@scheme"), tokens.dark ? QStringLiteral("dark") : QStringLiteral("light"));
}

}  // namespace qlora::theme
