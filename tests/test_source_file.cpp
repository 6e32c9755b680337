// Pictures that are read at the sizes of a render: the same render to the last bit, and the same inputs in
// its checkpoints.
#include "engine/style/source_file.h"

#include "engine/style/picture.h"
#include "engine/style/session.h"
#include "tests/support/small_renders.h"
#include "tests/test_image_support.h"

using namespace impasto;
using namespace impasto::test;

namespace {

struct Rendered {
  Image picture;
  std::map<std::string, std::string> inputs;  // as its checkpoint has them
};

Rendered finish(Session& session, const StyleOptions& options, RenderInput input) {
  Render render(session, options, std::move(input));
  Rendered result;
  while (render.step()) result.inputs = render.checkpoint().inputs;
  result.picture = render.picture();
  return result;
}

void write_picture(const fs::path& path, Image image, bool grey) {
  if (grey) make_grey(image);
  WriteOptions options;
  options.bits = 16;
  write_image(path, image, options);
}

/// A file for a render of such a content.
SourceFile read_for(const Weights& weights, const StyleOptions& options, const fs::path& path,
                    std::optional<PixelSize> content = {}) {
  const auto choose = [&](PixelSize own) {
    const RenderSizes sizes = content ? RenderSizes{*content, {{own}}} : RenderSizes{own, {}};
    return picture_sizes(options, weights, sizes).back();
  };
  return {path, choose, kDefaultMaxPixels, nullptr};
}

}  // namespace

TEST_CASE("a render from pictures read at its sizes has the bits of one from the whole pictures") {
  const TemporaryFolder folder;
  for (const bool grey : {false, true}) {
    write_picture(folder / "content.png", random_image(320, 240, 1), grey);
    write_picture(folder / "style.png", random_image(300, 420, 2), grey);
    const Image content = read_image(folder / "content.png");
    const std::vector<Image> styles{read_image(folder / "style.png")};
    for (const Handover handover : {Handover::kPicture, Handover::kChange}) {
      for (const Init init : {Init::kContent, Init::kPicture}) {
        INFO("grey " << grey << " handover " << static_cast<int>(handover) << " init "
                     << static_cast<int>(init));
        StyleOptions options = options_with(op_devices().back(), OptimizerKind::kAdam);
        options.handover = handover;
        options.init = init;
        Session session(options, weights());
        const Image* const start = init == Init::kPicture ? &content : nullptr;
        const Rendered whole = finish(session, options, {&content, style_inputs({}, styles), start, {}});

        const SourceFile file = read_for(*weights(), options, folder / "content.png");
        std::vector<SourceFile> style_files;
        style_files.push_back(read_for(*weights(), options, folder / "style.png", content.size()));
        REQUIRE(file.picture().reduced() != nullptr);
        REQUIRE(style_files[0].picture().reduced() != nullptr);
        CHECK(file.picture().reduced()->is_grey() == grey);
        CHECK(file.picture().size() == content.size());
        Session other(options, weights());
        const Rendered reduced =
            finish(other, options,
                   {file.picture(),
                    blended_inputs({}, std::vector<PictureRef>{style_files[0].picture()}),
                    init == Init::kPicture ? file.picture() : PictureRef(),
                    {}});
        CHECK(reduced.picture.rgb == whole.picture.rgb);
        CHECK(reduced.inputs == whole.inputs);
      }
    }
  }
}

TEST_CASE("a picture is read whole where less would not do, or would not save much") {
  const TemporaryFolder folder;
  const auto read = [&](const fs::path& path, std::vector<PixelSize> sizes) {
    return SourceFile(
        path, [&](PixelSize) { return sizes; }, kDefaultMaxPixels, nullptr);
  };
  const Image opaque = random_image(90, 60, 3);
  Image clear = opaque;
  clear.alpha.assign(static_cast<std::size_t>(clear.pixels()), 0.5F);
  write_image(folder / "opaque.png", opaque);
  write_image(folder / "clear.png", clear);
  CHECK(read(folder / "opaque.png", {{9, 6}, {18, 12}}).picture().reduced() != nullptr);
  CHECK(read(folder / "opaque.png", {{9, 6}, {90, 60}}).picture().whole() != nullptr);
  CHECK(read(folder / "clear.png", {{9, 6}}).picture().whole() != nullptr);
  const FileBytes upright = file_bytes(folder / "opaque.png");
  for (int orientation = 1; orientation <= 8; ++orientation) {
    write_bytes(folder / "turned.png", with_png_chunk(upright, "eXIf", exif(orientation, 3, false)));
    const SourceFile file = read(folder / "turned.png", {{9, 6}});
    CHECK((file.picture().reduced() != nullptr) == (orientation <= 2));
    const Image whole = read_image(folder / "turned.png");
    CHECK(file.picture().size() == whole.size());
    if (file.picture().reduced() == nullptr) continue;
    CHECK(file.picture().reduced()->digest() == digest(whole));
    CHECK(file.picture().reduced()->at({9, 6}).rgb == resize(whole, {9, 6}, Overshoot::kClip).rgb);
    error_of(ErrorCode::kUsage, [&] { (void)file.picture().reduced()->at({9, 7}); });
  }
}

TEST_CASE("damage and sizes that make no sense are told as by read_image") {
  const TemporaryFolder folder;
  write_image(folder / "a.png", random_image(90, 60, 3));
  FileBytes cut = file_bytes(folder / "a.png");
  cut.resize(cut.size() / 2);
  write_bytes(folder / "cut.png", cut);
  const auto at = [&](const std::string& name, PixelSize size) {
    return SourceFile(
        folder / name, [&](PixelSize) { return std::vector{size}; }, kDefaultMaxPixels, nullptr);
  };
  const std::string whole = error_of(ErrorCode::kBadInput, [&] { (void)read_image(folder / "cut.png"); });
  CHECK(error_of(ErrorCode::kBadInput, [&] { (void)at("cut.png", {9, 6}); }) == whole);
  CHECK(error_of(ErrorCode::kBadInput, [&] { (void)at("cut.png", {90, 60}); }) == whole);
  CHECK_THAT(error_of(ErrorCode::kUsage,
                      [&] {
                        (void)at("a.png", {0, 6});
                      }),
             ContainsSubstring("expected a size"));
  CHECK_THAT(error_of(ErrorCode::kBadInput,
                      [&] {
                        (void)at("none.png", {9, 6});
                      }),
             ContainsSubstring("none.png"));
}
