"""The lab in plain English: customers' requests, a pre-trained model's replies, and a gold reward that reads them."""
