// SPDX-License-Identifier: Apache-2.0
// print_options MODULE_DIRECTORY: a JSON document of what the types of quiescers, modules included, say of their
// options. scripts/options makes the schema of the configuration and the tables of the documentation from it.
#include <iostream>

#include "dlm_freeze/quiesce/registry.hpp"

namespace dlm_freeze {
namespace {

std::string_view to_string(OptionType type) {
  switch (type) {
    case OptionType::text:
      return "text";
    case OptionType::boolean:
      return "boolean";
    case OptionType::integer:
      return "integer";
    case OptionType::text_list:
      return "text_list";
  }
  return "";
}

Json to_json(const OptionSpec& spec) {
  Json::Array choices;
  for (const std::string_view choice : spec.choices) choices.emplace_back(choice);
  return Json::Object{{"name", spec.name},
                      {"type", to_string(spec.type)},
                      {"description", spec.description},
                      {"choices", choices},
                      {"form", spec.form.what},
                      {"pattern", spec.form.pattern},
                      {"minimum", spec.range.minimum},
                      {"maximum", spec.range.maximum},
                      {"mandatory", spec.mandatory},
                      {"default", spec.otherwise}};
}

Json to_json(const QuiescerType& type) {
  Json::Array options;
  for (const OptionSpec& spec : type.options) options.push_back(to_json(spec));
  return Json::Object{{"name", type.name}, {"description", type.description}, {"options", options}};
}

int print_options(const std::string& module_directory) {
  QuiescerRegistry registry(builtin_quiescer_types(), module_quiescer_types(), module_directory);
  Json::Array types;
  for (const std::string_view name : registry.names()) {
    const auto type = registry.find(name);
    if (!type) {
      std::cerr << type.error().message << '\n';
      return 1;
    }
    types.push_back(to_json(**type));
  }
  std::cout << Json(types).dump();
  return 0;
}

}  // namespace
}  // namespace dlm_freeze

int main(int argc, char** argv) {
  if (argc == 2) return dlm_freeze::print_options(argv[1]);
  std::cerr << "usage: print_options MODULE_DIRECTORY\n";
  return 1;
}
