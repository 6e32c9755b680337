#include "engine/style/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <span>
#include <utility>

#include "engine/core/file.h"
#include "engine/core/message.h"
#include "engine/core/safetensors.h"
#include "engine/core/text.h"
#include "engine/options/options.h"

namespace impasto {
namespace {

namespace fs = std::filesystem;
using safetensors::in_quotes;
using safetensors::Metadata;
using Texts = std::map<std::string, std::string>;

constexpr const char *kFormat = "impasto checkpoint", *kVersion = "2";
constexpr std::string_view kEarlierMagic = "impasto checkpoint 1\n";
constexpr const char *kOption = "option/", *kInput = "input/", *kDevice = "device/";
constexpr const char *kHostState = "host/state", *kBestLosses = "host/best_losses";
// What a reader believes at most: far above what is ever written.
constexpr std::size_t kMaxText = 60'000, kMaxLines = 500'000, kMaxTensors = 64, kMaxNumbers = 100'000;
constexpr std::int64_t kMaxScale = 63, kMaxIteration = 1'000'000'000, kMaxSeconds = 1'000'000'000'000;

/// What a device chose may have several lines; everything else is one.
bool is_plain(const std::string& text, bool lines) {
  return text.size() <= (lines ? kMaxLines : kMaxText) &&
         std::none_of(text.begin(), text.end(),
                      [&](unsigned char c) { return (c < 0x20 && !(lines && c == '\n')) || c == 0x7F; });
}

bool is_tensor_name(const std::string& name) {
  return !name.empty() && is_plain(name, false) && name.find('/') == std::string::npos;
}

// --- writing

void add_texts(Metadata& metadata, const std::string& prefix, const Texts& texts) {
  for (const auto& [name, text] : texts) {
    if (!is_plain(name, false) || !is_plain(text, prefix == kDevice)) {
      throw make_error(ErrorCode::kUsage, "checkpoint: {}: expected a short text, found {}",
                       in_quotes(prefix + name), in_quotes(text));
    }
    metadata[prefix + name] = text;
  }
}

safetensors::View view_of(const Checkpoint::Tensor& t) {
  if (!is_tensor_name(t.name) || t.shape.h < 1 || t.shape.w < 1 || t.shape.c < 1) {
    throw make_error(ErrorCode::kUsage, "checkpoint: expected a name without / and a shape, found {} {}",
                     in_quotes(t.name), to_string(t.shape));
  }
  return {{t.name, t.dtype, {t.shape.h, t.shape.w, t.shape.c}}, t.data};
}

safetensors::View view_of(const std::string& name, const std::vector<double>& numbers) {
  return {{name, DType::kFloat64, {static_cast<std::int64_t>(numbers.size())}},
          std::as_bytes(std::span(numbers))};
}

// --- reading

/// The texts of a file, each taken once.
class TextReader {
 public:
  TextReader(std::string what, Metadata texts) : what_(std::move(what)), texts_(std::move(texts)) {}

  std::string take(const std::string& name) {
    const auto text = texts_.extract(name);
    if (text.empty()) throw file_error(what_, "a text " + in_quotes(name), "none");
    return text.mapped();
  }

  template <class Number>
  Number take_number(const std::string& name, std::int64_t most) {
    const std::string text = take(name);
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() ||
        !(number >= 0 && number <= static_cast<Number>(most))) {
      throw file_error(what_, fmt::format("{} from 0 to {}", name, most), in_quotes(text));
    }
    return number;
  }

  Texts take_all(const std::string& prefix) {
    Texts taken;
    auto next = texts_.lower_bound(prefix);
    while (next != texts_.end() && next->first.starts_with(prefix)) {
      if (!is_plain(next->first, false) || !is_plain(next->second, prefix == kDevice)) {
        throw file_error(what_, "a short text as " + in_quotes(next->first), in_quotes(next->second));
      }
      taken[next->first.substr(prefix.size())] = next->second;
      next = texts_.erase(next);
    }
    return taken;
  }

  void require_all_taken() const {
    if (!texts_.empty()) throw file_error(what_, "no text of another name", in_quotes(texts_.begin()->first));
  }

 private:
  std::string what_;
  Metadata texts_;
};

void read_texts(const std::string& what, Metadata metadata, Checkpoint& c) {
  TextReader texts(what, std::move(metadata));
  if (const std::string format = texts.take("format"); format != kFormat) {
    throw file_error(what, "a checkpoint", "a file of the format " + in_quotes(format));
  }
  if (const std::string version = texts.take("version"); version != kVersion) {
    throw file_error(what, fmt::format("a checkpoint of version {}", kVersion),
                     "one of " + in_quotes(version));
  }
  c.scale = texts.take_number<std::int64_t>("scale", kMaxScale);
  c.iteration = texts.take_number<std::int64_t>("iteration", kMaxIteration);
  c.seconds = texts.take_number<double>("seconds", kMaxSeconds);
  c.options = texts.take_all(kOption);
  c.inputs = texts.take_all(kInput);
  c.device = texts.take_all(kDevice);
  texts.require_all_taken();
}

std::vector<double> numbers_of(const std::string& what, const safetensors::Tensor& t) {
  if (t.dtype != DType::kFloat64 || t.shape.size() != 1 || t.data.size() > kMaxNumbers * sizeof(double)) {
    throw file_error(what, fmt::format("{} as at most {} numbers in float64", t.name, kMaxNumbers),
                     to_string(t));
  }
  std::vector<double> numbers(t.data.size() / sizeof(double));
  if (!numbers.empty()) std::memcpy(numbers.data(), t.data.data(), t.data.size());
  return numbers;
}

Checkpoint::Tensor tensor_of(const std::string& what, safetensors::Tensor&& t) {
  const bool shaped = t.shape.size() == 3 && std::all_of(t.shape.begin(), t.shape.end(),
                                                         [](std::int64_t size) { return size >= 1; });
  if (!is_tensor_name(t.name) || !shaped) {
    throw file_error(what, "a tensor with height, width and channels",
                     fmt::format("{} {}", in_quotes(t.name), to_string(t)));
  }
  return {std::move(t.name), {t.shape[0], t.shape[1], t.shape[2]}, t.dtype, std::move(t.data)};
}

void read_tensors(const std::string& what, std::vector<safetensors::Tensor>&& tensors, Checkpoint& c) {
  if (tensors.size() > kMaxTensors) {
    throw file_error(what, fmt::format("at most {} tensors", kMaxTensors), std::to_string(tensors.size()));
  }
  for (const auto& [name, numbers] : {std::pair(kHostState, &c.host_state), {kBestLosses, &c.best_losses}}) {
    const auto found = std::find_if(tensors.begin(), tensors.end(),
                                    [name = name](const auto& tensor) { return tensor.name == name; });
    if (found == tensors.end()) throw file_error(what, fmt::format("a tensor {}", name), "none");
    *numbers = numbers_of(what, *found);
    tensors.erase(found);
  }
  for (safetensors::Tensor& tensor : tensors) c.tensors.push_back(tensor_of(what, std::move(tensor)));
}

void refuse_earlier_version(const fs::path& path) {
  std::error_code ignored;  // reported by who reads the file
  if (!fs::is_regular_file(path, ignored)) return;
  std::string start(kEarlierMagic.size(), '\0');
  std::ifstream(path, std::ios::binary).read(start.data(), static_cast<std::streamsize>(start.size()));
  if (start == kEarlierMagic) {
    throw file_error(path.string(), fmt::format("a checkpoint of version {}", kVersion),
                     "a checkpoint of an earlier version (HDF5); start again without --resume");
  }
}

void require_same(const std::string& prefix, const Texts& made_with, const Texts& given) {
  const auto fail = [&](const std::string& name, const std::string& expected, const std::string& found) {
    throw file_error("checkpoint: " + prefix + name, expected + " (made with)", found);
  };
  for (const auto& [name, text] : made_with) {
    const auto other = given.find(name);
    if (other == given.end()) fail(name, text, "none");
    if (other->second != text) fail(name, text, other->second);
  }
  for (const auto& [name, text] : given) {
    if (!made_with.contains(name)) fail(name, "none", text);
  }
}

}  // namespace

void save_checkpoint(const fs::path& path, const Checkpoint& checkpoint, bool replace) {
  const auto require = [](const char* name, auto number, std::int64_t most) {
    if (number >= 0 && number <= static_cast<decltype(number)>(most)) return;
    throw make_error(ErrorCode::kUsage, "checkpoint: expected {} from 0 to {}, found {}", name, most, number);
  };
  require("scale", checkpoint.scale, kMaxScale);
  require("iteration", checkpoint.iteration, kMaxIteration);
  require("seconds", checkpoint.seconds, kMaxSeconds);
  require("tensors", checkpoint.tensors.size(), kMaxTensors - 2);
  require("numbers of state", checkpoint.host_state.size(), kMaxNumbers);
  require("lowest losses", checkpoint.best_losses.size(), kMaxNumbers);
  Metadata metadata{{"format", kFormat},
                    {"version", kVersion},
                    {"scale", std::to_string(checkpoint.scale)},
                    {"iteration", std::to_string(checkpoint.iteration)},
                    {"seconds", format_number(checkpoint.seconds)}};
  add_texts(metadata, kOption, checkpoint.options);
  add_texts(metadata, kInput, checkpoint.inputs);
  add_texts(metadata, kDevice, checkpoint.device);
  std::vector<safetensors::View> tensors{view_of(kHostState, checkpoint.host_state),
                                         view_of(kBestLosses, checkpoint.best_losses)};
  for (const Checkpoint::Tensor& tensor : checkpoint.tensors) tensors.push_back(view_of(tensor));
  safetensors::write(path, replace ? Existing::kReplace : Existing::kKeep, std::move(metadata), tensors);
}

Checkpoint load_checkpoint(const fs::path& path) {
  safetensors::File file = [&] {
    try {
      return safetensors::read(path, "a checkpoint");
    } catch (const Error&) {
      refuse_earlier_version(path);
      throw;
    }
  }();
  Checkpoint checkpoint;
  read_texts(path.string(), std::move(file.metadata), checkpoint);
  read_tensors(path.string(), std::move(file.tensors), checkpoint);
  return checkpoint;
}

void require_same_run(const Checkpoint& checkpoint, const Texts& options, const Texts& inputs) {
  require_same("option --", with_later_options(checkpoint.options), options);
  require_same("", checkpoint.inputs, inputs);
}

}  // namespace impasto
