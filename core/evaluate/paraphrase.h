#pragma once
// Training texts in other words, written by a model and judged: by words (core/data/paraphrases.h), and by what the model itself
// makes of both texts.
//
// A text's vector is the mean of its tokens' hidden states over all layers, each number less its mean over a sample of the training
// texts and divided by its deviation there, as raw states of decoders all point the same way (Ethayarajh 2019; Mu and Viswanath
// 2018). A paraphrase whose cosine with its text lies below the recipe's limit, or below that with another text of the sample, is
// refused.

#include <memory>
#include <span>
#include <string>

#include "core/base/control.h"
#include "core/data/paraphrases.h"
#include "core/evaluate/run_data.h"
#include "core/recipe/recipe.h"

namespace qlora::evaluate {

// What was written for the texts of `rows`, training rows of `data`: data.augment.paraphrases used ones a text where the model
// finds them in six times as many tries, beside the refused. A text's paraphrases follow from the recipe, the sample and the text,
// so those of a few rows are the ones a run would use. They are kept below cache_home(); what is there, of the same model, sample,
// precision, device, seed and limits, is not written again, and a stop keeps what was written. The model is loaded only where something is to be written, and is gone when this returns. Texts of
// more than 160 tokens are left alone. `progress` is called before each try. Throws input_error "augment.paraphraser" for a model that does not write, "data.augment"
// as data::Augmenter; stopped().
std::shared_ptr<const data::Paraphrases> paraphrase(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows,
                                                    const std::string& device, int threads, Control& control, const Progress& progress);
// What is kept of them already, without writing any. Loads no model; throws input_error where there is none of that name.
std::shared_ptr<const data::Paraphrases> known_paraphrases(const recipe::Recipe& recipe, const RunData& data, std::span<const data::RowIndex> rows,
                                                          const std::string& device);

}  // namespace qlora::evaluate
