#pragma once
// The public face of the engine: options and pictures in, a picture out.
#include "engine/core/error.h"
#include "engine/image/image.h"
#include "engine/network/weights.h"
#include "engine/options/options.h"
#include "engine/style/checkpoint.h"
#include "engine/style/render.h"
#include "engine/style/render_plan.h"
#include "engine/style/session.h"
#include "engine/style/stylizer.h"
