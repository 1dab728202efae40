#include <cmath>

#include "core/evaluate/chat.h"

namespace qlora::evaluate {

namespace {

OrderedJson number(double value) { return std::isfinite(value) ? OrderedJson(value) : OrderedJson(); }

OrderedJson metrics(const Contender& contender) {
    OrderedJson json = {{"loss", number(contender.loss)}};
    if (contender.perplexity != 0) json["perplexity"] = number(contender.perplexity);
    for (const auto& [name, value] : contender.metrics) json[name] = number(value);
    json["tokens"] = contender.tokens;
    return json;
}

OrderedJson classes(const std::vector<ClassFigures>& figures) {
    OrderedJson list = OrderedJson::array();
    for (const ClassFigures& one : figures)
        list.push_back({{"name", one.name},
                        {"precision", one.precision},
                        {"recall", one.recall},
                        {"f1", one.f1},
                        {"rows", one.rows},
                        {"predicted", one.predicted},
                        {"right", one.right}});
    return list;
}

OrderedJson to_json(const Contender& contender) {
    OrderedJson json = {{"name", contender.name}, {"metrics", metrics(contender)}};
    if (contender.classification) {
        json["classes"] = classes(contender.classification->classes);
        json["confusion_matrix"] = contender.classification->confusion;
    }
    if (contender.multi_label) json["classes"] = classes(contender.multi_label->classes);
    if (!contender.answers.empty()) json["answers"] = contender.answers;
    return json;
}

}  // namespace

OrderedJson to_json(const Report& report) {
    OrderedJson json = {{"task", recipe::name(report.task)}, {"split", report.split}, {"rows", report.rows}};
    if (!report.labels.empty()) json["labels"] = report.labels;
    if (!report.contenders.empty()) json["metrics"] = metrics(report.contenders.back());
    json["contenders"] = OrderedJson::array();
    for (const Contender& contender : report.contenders) json["contenders"].push_back(to_json(contender));
    if (!report.questions.empty()) {
        json["questions"] = report.questions;
        json["expected"] = report.expected;
    }
    return json;
}

}  // namespace qlora::evaluate
