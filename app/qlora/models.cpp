#include "app/qlora/command.h"
#include "app/qlora/format.h"
#include "core/hub/catalogue.h"

namespace qlora::cli {

Run define_models(CLI::App&) {
    return [](Context& context) {
        OrderedJson models = OrderedJson::array(), datasets = OrderedJson::array();
        std::vector<std::vector<std::string>> model_rows{{"MODEL", "NAME", "SIZE", "WHERE"}};
        std::vector<std::vector<std::string>> data_rows{{"DATA", "NAME", "ROWS", "WHERE"}};
        for (const hub::CatalogueModel& model : hub::models()) {
            models.push_back({{"id", model.id},
                              {"name", model.name},
                              {"description", model.description},
                              {"licence", model.licence},
                              {"available", model.available},
                              {"path", model.path.string()},
                              {"bytes", model.bytes}});
            model_rows.push_back({model.id, model.name, model.available ? bytes_text(model.bytes) : "-",
                                  model.available ? model.path.string() : "not on this computer"});
        }
        for (const hub::CatalogueData& data : hub::datasets()) {
            datasets.push_back({{"id", data.id},
                                {"name", data.name},
                                {"description", data.description},
                                {"licence", data.licence},
                                {"layout", data.layout},
                                {"rows", data.rows},
                                {"available", data.available},
                                {"path", data.path.string()},
                                {"held_out", data.held_out.string()}});
            data_rows.push_back({data.id, data.name, data.rows > 0 ? count_text(data.rows) : "-",
                                 data.available ? data.path.string() : "not on this computer"});
        }
        std::string text = table(model_rows) + (data_rows.size() > 1 ? "\n" + table(data_rows) : "");
        context.output.answer({{"models", models}, {"datasets", datasets}}, text);
        return 0;
    };
}

}  // namespace qlora::cli
