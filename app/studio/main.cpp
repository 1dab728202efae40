// The window's program.
#include <QApplication>
#include <QCommandLineParser>
#include <QDir>
#include <QElapsedTimer>
#include <QLocale>
#include <QSettings>
#include <QTimer>
#include <cstdio>

#include "app/studio/shots.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/home.h"
#include "ui/dialogs/dialogs.h"
#include "ui/engine/core_chat_service.h"
#include "ui/engine/core_dataset_service.h"
#include "ui/engine/core_engine.h"
#include "ui/engine/core_runs_service.h"
#include "ui/engine/core_search_service.h"
#include "ui/models/recipe_draft.h"
#include "ui/shell/main_window.h"
#include "ui/theme/theme.h"

namespace {

using namespace qlora;

int run(QApplication& application) {
    QCommandLineParser options;
    options.setApplicationDescription(
        QCoreApplication::translate("main", "Fine-tunes language models on one GPU or a CPU."));
    options.addHelpOption();
    options.addVersionOption();
    options.addPositionalArgument("recipe", QCoreApplication::translate("main", "A recipe to open."),
                                  "[recipe.json]");
    options.addOptions(
        {{"page",
          QCoreApplication::translate("main", "Open on this page: train, data, live, evaluate, runs."),
          "name"},
         {"device", QCoreApplication::translate("main", "auto, cpu, cuda or cuda:N."), "device", "auto"},
         {"threads", QCoreApplication::translate("main", "Threads to compute with; 0: all cores."), "n", "0"},
         {"shots",
          QCoreApplication::translate(
              "main", "Train for a few steps, draw every page in both themes into this folder, and end."),
          "folder"},
         {"shots-steps", QCoreApplication::translate("main", "Steps to train for the pictures."), "n",
          "40"}});
    options.process(application);

    const auto page = ui::page_from_name(options.value("page"));
    if (options.isSet("page") && !page) {
        std::fprintf(stderr, "--page: expected train, data, live, evaluate or runs, got %s\n",
                     qPrintable(options.value("page")));
        return 2;
    }
    const auto home = data_home();
    create_folders(home);
    create_folders(config_home());
    QSettings settings(QString::fromStdString((config_home() / "studio.ini").string()), QSettings::IniFormat);
    const int kept_scheme = settings.value("theme", 0).toInt();
    theme::Theme theme(application, kept_scheme == 1   ? theme::Scheme::light
                                    : kept_scheme == 2 ? theme::Scheme::dark
                                                       : theme::Scheme::system);

    ui::CoreEngine engine({home, options.value("device").toStdString(), options.value("threads").toInt()});
    ui::CoreDatasetService datasets(options.value("device").toStdString(), options.value("threads").toInt());
    ui::CoreRunsService runs(home);
    ui::CoreChatService chat;
    ui::CoreSearchService searches({home, options.value("device").toStdString(), options.value("threads").toInt()});
    ui::SystemDialogs dialogs;
    ui::MainWindow window({engine, datasets, runs, chat, searches, dialogs, theme, settings});
    if (!options.positionalArguments().isEmpty())
        window.draft().set_recipe(recipe::load(options.positionalArguments().front().toStdString()));
    if (page) window.show_page(*page);
    window.show();
    if (!options.isSet("shots")) return application.exec();
    studio::Shots shots(window, theme, options.value("shots"), options.value("shots-steps").toInt());
    shots.start();
    return application.exec();
}

}  // namespace

int main(int argc, char** argv) {
    QApplication::setApplicationName(QStringLiteral("qlora-studio"));
    QApplication::setApplicationDisplayName(QStringLiteral("QLoRA Studio"));
    QApplication::setApplicationVersion(QStringLiteral(QLORA_VERSION));
    QApplication application(argc, argv);
    // Numbers look and parse the same everywhere, whatever the desktop's locale.
    QLocale::setDefault(QLocale::c());
    std::setlocale(LC_NUMERIC, "C");
    try {
        return run(application);
    } catch (const Error& error) {
        std::fprintf(stderr, "%s\n%s\n", error.what(), error.hint().c_str());
        return error.exit_code();
    }
}
