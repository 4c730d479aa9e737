"""The lab: a small invented world with a known gold reward, models that train in it in seconds, and studies of them."""
