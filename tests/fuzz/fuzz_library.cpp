// libFuzzer target: the public functions with values made from the bytes, small ones and absurd ones. Any
// outcome but a result or an Error of a documented code is a finding. Built as fuzz_image is.
#include <unistd.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/impasto.h"
#include "tests/support/tiny_vgg.h"

namespace {

using namespace impasto;

/// Values from the bytes, zeros behind their end.
class Source {
 public:
  Source(const unsigned char* data, std::size_t size) : data_(data), left_(size) {}
  unsigned byte() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::uint64_t bits() {
    std::uint64_t all = 0;
    for (int i = 0; i < 8; ++i) all = all << 8 | byte();
    return all;
  }
  bool rarely() { return byte() > 240; }
  /// Mostly from 0 to `most`; rarely any number.
  std::int64_t count(int most) {
    return rarely() ? static_cast<std::int64_t>(bits()) : static_cast<int>(byte()) % (most + 1);
  }
  /// Mostly a moderate number; rarely any.
  double number() { return rarely() ? std::bit_cast<double>(bits()) : static_cast<double>(byte()) / 16; }
  template <class T>
  T choice() {
    return static_cast<T>(rarely() ? byte() : byte() % 3);
  }

 private:
  const unsigned char* data_;
  std::size_t left_;
};

std::size_t length(Source& from, std::int64_t width, std::int64_t height, std::int64_t channels) {
  const bool small = width >= 0 && height >= 0 && width <= 64 && height <= 64;
  return from.rarely() || !small ? from.byte() : static_cast<std::size_t>(width * height * channels);
}

Image picture(Source& from) {
  Image image;
  image.width = from.count(24);
  image.height = from.count(24);
  image.rgb.resize(length(from, image.width, image.height, 3));
  for (float& v : image.rgb) v = static_cast<float>(from.byte()) / 255;
  if (!image.rgb.empty() && from.rarely()) image.rgb.back() = static_cast<float>(from.number());
  if (from.byte() % 4 == 0) image.alpha.assign(length(from, image.width, image.height, 1), 0.5F);
  if (!image.alpha.empty() && from.rarely()) image.alpha.back() = static_cast<float>(from.number());
  return image;
}

std::shared_ptr<const Weights> weights(Source& from) {
  if (from.rarely()) return nullptr;
  auto made = std::make_shared<Weights>(test::tiny_vgg());
  if (!from.rarely()) return made;
  ConvWeights& layer = made->layers[from.byte() % made->layers.size()];
  switch (from.byte() % 6) {
    case 0: layer.in_channels = from.count(9); break;
    case 1: layer.out_channels = from.count(9); break;
    case 2: layer.filter.resize(from.byte()); break;
    case 3: layer.bias.resize(from.byte()); break;
    case 4: layer.filter[0] = static_cast<float>(from.number()); break;
    default: layer.name = std::string(from.byte() % 8, static_cast<char>(from.byte())); break;
  }
  return made;
}

StyleOptions options(Source& from) {
  StyleOptions o;
  o.device = from.byte() % 4 == 0 ? "reference" : "cpu";
  o.threads = 1;
  o.size = from.rarely() ? from.count(32) : 16 + from.byte() % 16;
  if (from.rarely()) o.size = 0;
  o.iterations = 1 + static_cast<int>(from.byte() % 2);
  o.num_scales = from.rarely() ? static_cast<int>(from.count(4)) : 1;
  o.style_scale = from.rarely() ? from.number() : 1;
  o.objective.style_weight = from.number();
  o.objective.content_weight = from.number();
  o.objective.tv_weight = from.rarely() ? from.number() : 0;
  if (from.rarely()) o.objective.scaling = from.choice<Scaling>();
  if (from.rarely()) o.init = from.choice<Init>();
  o.optimizer.kind = from.choice<OptimizerKind>();
  if (from.rarely()) o.optimizer.line_search = from.choice<LineSearch>();
  if (from.rarely()) o.optimizer.learning_rate = from.number();
  if (from.rarely()) o.optimizer.history = static_cast<int>(from.count(5));
  o.optimizer.clamp = from.byte() % 4 == 0;
  return o;
}

void spoil(Checkpoint& c, Source& from) {
  switch (from.byte() % 6) {
    case 0: c.scale = from.count(3); break;
    case 1: c.iteration = from.count(3); break;
    case 2: c.seconds = from.number(); break;
    case 3: c.host_state.resize(from.byte(), from.number()); break;
    case 4:
      if (!c.tensors.empty()) c.tensors[from.byte() % c.tensors.size()].data.resize(from.byte());
      break;
    default:
      if (c.tensors.empty()) break;
      auto& data = c.tensors[from.byte() % c.tensors.size()].data;
      for (int i = 0; i < 8 && !data.empty(); ++i) data[from.bits() % data.size()] = std::byte{0xFF};
  }
}

void render(Source& from) {
  const StyleOptions how = options(from);
  Session session(how, weights(from), {from.byte() % 2 == 0, from.byte() * std::size_t{1000}});
  const Image content = picture(from), style = picture(from), start = picture(from);
  StyleInput input;
  input.picture = from.rarely() ? nullptr : &style;
  if (from.rarely()) input.weight = from.number();
  if (from.rarely()) input.scale = from.number();
  const bool started = how.init == Init::kPicture;
  const RenderInput what{from.rarely() ? nullptr : &content, {input}, started ? &start : nullptr, {}};
  Checkpoint checkpoint;
  {
    Render first(session, how, what);
    if (first.step()) (void)first.picture();
    checkpoint = first.checkpoint();
    const Render moved = std::move(first);
  }
  spoil(checkpoint, from);
  RenderInput again = what;
  again.resume = std::make_shared<Checkpoint>(checkpoint);
  Render second(session, how, again);
  while (second.step()) {
  }
  (void)second.picture();
}

void plan(Source& from) {
  const StyleOptions how = options(from);
  Session session(how, weights(from));
  const RenderSizes sizes{{from.count(64), from.count(64)},
                          {{{from.count(64), from.count(64)}, from.number()}}};
  const RenderPlan made = session.plan(how, sizes, from.bits());
  (void)session.misfit(made, how, sizes);
}

void write(Source& from) {
  static const std::string folder = std::filesystem::temp_directory_path().string();
  static constexpr std::array kSuffixes{".png", ".jpg", ".webp", ".tif"};
  const std::string file =
      folder + "/impasto-fuzz-" + std::to_string(::getpid()) + kSuffixes[from.byte() % 4];
  WriteOptions how;
  how.bits = from.rarely() ? static_cast<int>(from.count(16)) : 8;
  how.quality = from.rarely() ? static_cast<int>(from.count(120)) : 90;
  std::string key(from.byte() % 100, '\0'), value(from.byte(), '\0');
  for (char& c : key) c = static_cast<char>(from.byte());
  for (char& c : value) c = static_cast<char>(from.byte());
  if (from.byte() % 2 == 0) how.metadata[key] = value;
  write_image(file, picture(from), how);
  (void)read_image(file);
  std::filesystem::remove(file);
}

void use(Source& from) {
  switch (from.byte() % 4) {
    case 0: return render(from);
    case 1: return plan(from);
    case 2: return write(from);
    default: {
      const Image image = picture(from);
      const PixelSize size{from.count(64), from.count(64)};
      // AddressSanitizer ends the program where operator new would say that memory is short.
      const double pixels = static_cast<double>(size.width) * static_cast<double>(size.height);
      if (pixels > 0x1p24 && pixels <= 0x1p34) return;
      (void)resize(image, size, from.byte() % 2 == 0 ? Overshoot::kClip : Overshoot::kKeep);
      (void)resize_alpha(image, size);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  Source from(data, size);
  try {
    use(from);
  } catch (const Error& error) {
    if (std::strchr(error.what(), '\n') != nullptr) std::abort();
    if (error.code() == ErrorCode::kInternal) std::abort();
  }
  return 0;
}
