#include "engine/style/sources.h"

#include <algorithm>
#include <utility>

#include "engine/style/picture.h"

namespace impasto {
namespace {

SourcePicture opaque(const Image& image) {
  return image.has_alpha() ? SourcePicture(flatten(image)) : SourcePicture(image);
}

}  // namespace

SourcePicture SourcePicture::at(PixelSize size) const {
  if (image().size() == size) return SourcePicture(image());
  return SourcePicture(resize(image(), size, Overshoot::kClip));
}

Sources::Sources(const RenderInput& input, bool with_start) : content_(opaque(*input.content)) {
  std::vector<SourcePicture*> all{&content_};
  styles_.reserve(input.styles.size());
  for (const StyleInput& style : input.styles) {
    styles_.push_back(opaque(*style.picture));
    all.push_back(&styles_.back());
  }
  if (with_start) {
    start_ = opaque(*input.start);
    all.push_back(&start_);
  }
  grey_ = std::all_of(all.begin(), all.end(), [](const SourcePicture* p) { return is_grey(p->image()); });
  if (!grey_) return;
  for (SourcePicture* const picture : all) {
    Image image = picture->image();
    make_grey(image);
    *picture = SourcePicture(std::move(image));
  }
}

}  // namespace impasto
